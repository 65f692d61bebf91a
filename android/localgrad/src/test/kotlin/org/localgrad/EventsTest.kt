package org.localgrad

import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executor
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class EventsTest {
    @Test
    fun `a flow tells everything in order and ends with the trainer`() = runBlocking<Unit> {
        val trainer = Trainer(Pictures.network(), Pictures.config())
        val all = async(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { trainer.events.toList() }
        trainer.source = Pictures.source()
        trainer.train(Until.steps(20))
        trainer.evaluate(Pictures.samples(0, 8))
        trainer.close()
        val events = all.await()

        val steps = events.filterIsInstance<Event.StepDone>()
        assertEquals((1L..20L).toList(), steps.map { it.step })
        assertEquals(1f, steps.last().progress, 0f)
        assertTrue(steps.all { it.samples == 16L && it.loss.isFinite() && it.peakBytes > 0 })
        assertEquals(List(20) { listOf(0, 1) }.flatten(), events.filterIsInstance<Event.BlockDone>().map { it.block })
        val evaluated = events.last() as Event.Evaluated
        assertEquals(8L, evaluated.evaluation.samples)
        assertTrue(trainer.events.toList().isEmpty())
    }

    @Test
    fun `collectors and listeners all hear it, each on its own thread`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            val heard = CopyOnWriteArrayList<Event>()
            val listener = EventListener { heard.add(it) }
            val direct = Executor { it.run() }
            trainer.addListener(direct, listener)
            val first = async(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { trainer.events.first() }
            val other = async(Dispatchers.Default, CoroutineStart.UNDISPATCHED) {
                trainer.events.first { it is Event.StepDone && it.step == 3L }
            }
            trainer.source = Pictures.source()
            trainer.train(Until.steps(3))
            assertTrue(first.await() is Event.BlockDone)
            assertEquals(3L, other.await().step)
            assertEquals(3, heard.count { it is Event.StepDone })
            trainer.removeListener(listener)
            trainer.train(Until.steps(4))
            assertEquals(3, heard.count { it is Event.StepDone })
        }
    }

    @Test
    fun `pauses and paces say why`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            val told = CopyOnWriteArrayList<String>()
            trainer.addListener({ it.run() }, { event ->
                when (event) {
                    is Event.Pace -> told.add("${event.workFraction} ${event.reason}")
                    is Event.Paused -> {
                        told.add("${event.reason}: ${event.message}")
                        trainer.resume()
                    }
                    is Event.Resumed -> told.add("resumed")
                    else -> Unit
                }
            })
            trainer.source = Pictures.source()
            trainer.setWorkFraction(0.9, PauseReason.BATTERY)
            for ((step, reason) in PauseReason.entries.withIndex()) {
                trainer.pause(reason)
                trainer.train(Until.steps(step + 1L))
            }
            // A pause is told of where it begins, a pace where work goes on.
            assertEquals(listOf("0.9 BATTERY"), told.filter { it.startsWith("0.9") })
            val pauses = told.filterNot { it.startsWith("0.9") }.chunked(2)
            assertEquals(PauseReason.entries.map { it.name }, pauses.map { it.first().substringBefore(':') })
            assertTrue("$told", pauses.all { it.last() == "resumed" })
            assertEquals(PauseReason.entries.size, pauses.map { it.first().substringAfter(": ") }.toSet().size)
        }
    }

    @Test
    fun `a collector that stops leaves training as it is`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            val job = launch(Dispatchers.Default) { trainer.events.first { it is Event.StepDone } }
            assertEquals(Reason.DONE, trainer.train(Until.steps(400)).reason)
            job.join()
            // Nobody takes them any more, and only so many wait.
            assertTrue(trainer.droppedEvents > 0)
        }
    }
}
