package org.localgrad

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class SteeringTest {
    private val uninterrupted: ByteArray by lazy {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            trainer.blocking.train(TrainOptions().apply { until = Until.steps(30) })
            Pictures.bytes(trainer)
        }
    }

    @Test
    fun `a cancel from another thread ends one call, and training goes on where it was`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            val canceller = Thread {
                while (steps.get() < 5) Thread.sleep(1)
                trainer.cancel()
            }
            canceller.start()
            val cancelled = trainer.train { steps.incrementAndGet() < 10_000 }
            canceller.join()
            assertEquals(Reason.CANCELLED, cancelled.reason)
            assertTrue(cancelled.newSteps in 5 until 10_000)
            // The step that was interrupted goes on, and a trainer that was not ends in the same bytes.
            trainer.train(Until.steps(cancelled.steps + 5))
            Trainer(Pictures.network(), Pictures.config()).use { twin ->
                twin.source = Pictures.source()
                twin.train(Until.steps(cancelled.steps + 5))
                assertArrayEquals(Pictures.bytes(twin), Pictures.bytes(trainer))
            }
        }
    }

    private val steps = AtomicInteger()

    @Test
    fun `cancelling the scope stops between two blocks`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            val begun = CompletableDeferred<Unit>()
            var thrown: Throwable? = null
            val job = launch(Dispatchers.Default) {
                try {
                    trainer.train { step -> step.number < 10 || begun.complete(Unit) || true }
                } catch (cancelled: CancellationException) {
                    thrown = cancelled
                    throw cancelled
                }
            }
            begun.await()
            job.cancelAndJoin()
            assertNotNull(thrown)
            val reached = trainer.info.steps
            assertTrue(reached >= 10)
            // Nothing is left behind: the next call trains on.
            assertEquals(Reason.DONE, trainer.train(Until.steps(reached + 3)).reason)
        }
    }

    @Test
    fun `a timeout is a cancelled scope`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            assertNull(withTimeoutOrNull(50) { trainer.train() })
            assertEquals(Reason.DONE, trainer.train(Until.steps(trainer.info.steps + 1)).reason)
        }
    }

    @Test
    fun `an interrupt ends a call that waits`() {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            val begun = CountDownLatch(1)
            var thrown: Throwable? = null
            val options = TrainOptions().apply {
                watcher = Watcher {
                    begun.countDown()
                    true
                }
            }
            val waiting = Thread {
                try {
                    trainer.blocking.train(options)
                } catch (interrupt: InterruptedException) {
                    thrown = interrupt
                }
            }
            waiting.start()
            begun.await()
            waiting.interrupt()
            waiting.join()
            assertTrue(thrown is InterruptedException)
            assertEquals(Reason.DONE, trainer.blocking.train(TrainOptions().apply {
                until = Until.steps(trainer.info.steps + 1)
            }).reason)
        }
    }

    @Test
    fun `a pause holds until it is ended, and changes nothing`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            val seen = AtomicInteger()
            trainer.pause()
            val job = launch(Dispatchers.Default) {
                trainer.train(Until.steps(30)) { seen.incrementAndGet() > 0 }
            }
            delay(100)
            assertEquals(0, seen.get())
            trainer.resume()
            job.join()
            assertArrayEquals(uninterrupted, Pictures.bytes(trainer))
        }
    }

    @Test
    fun `a slower pace and other threads change nothing`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            trainer.workFraction = 0.5
            trainer.threads = 2
            trainer.train(Until.steps(30))
            assertArrayEquals(uninterrupted, Pictures.bytes(trainer))
            assertEquals(0.5, trainer.workFraction, 0.0)
            assertThrows(LocalgradException.Argument::class.java) { trainer.workFraction = 0.0 }
            assertEquals(0.5, trainer.workFraction, 0.0)
            assertThrows(LocalgradException.Argument::class.java) { trainer.threads = -1 }
        }
    }

    @Test
    fun `closing it during training ends that`() = runBlocking<Unit> {
        val trainer = Trainer(Pictures.network(), Pictures.config())
        trainer.source = Pictures.source()
        val begun = CompletableDeferred<Unit>()
        var thrown: Throwable? = null
        val job = launch(Dispatchers.Default) {
            try {
                trainer.train { begun.complete(Unit) || true }
            } catch (closed: LocalgradException.Closed) {
                thrown = closed
            }
        }
        begun.await()
        trainer.close()
        job.join()
        assertEquals("the trainer was closed; make another one", thrown?.message)
    }

    @Test
    fun `using a closed one is an exception with a sentence`() = runBlocking<Unit> {
        val trainer = Trainer(Pictures.network(), Pictures.config())
        trainer.close()
        trainer.close()
        val uses = listOf<suspend () -> Unit>(
            { trainer.step() },
            { trainer.train() },
            { trainer.push(Pictures.samples(0, 1)) },
            { trainer.predict(Pictures.samples(0, 1)) },
            { trainer.info },
            { trainer.pause() },
            { trainer.workFraction = 0.5 },
            { trainer.state() },
            { trainer.blocking.save() },
            { trainer[Setting.MOMENTUM] },
            { trainer.droppedEvents },
        )
        for ((number, use) in uses.withIndex()) {
            try {
                use()
                throw AssertionError("use $number was let through")
            } catch (closed: LocalgradException.Closed) {
                assertEquals("the trainer was closed; make another one", closed.message)
            }
        }
        val network = Pictures.network()
        network.close()
        network.close()
        val closed = assertThrows(LocalgradException.Closed::class.java) { Trainer(network) }
        assertTrue(closed.message!!.contains("destroyed"))
    }

    @Test
    fun `a callback that calls back is refused`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            var refused: Throwable? = null
            trainer.source = Source { number ->
                try {
                    trainer.blocking.save()
                } catch (busy: LocalgradException.Busy) {
                    refused = busy
                }
                Pictures.samples(number, 4)
            }
            trainer.train(Until.steps(1))
            assertTrue(refused is LocalgradException.Busy)
        }
    }

    @Test
    fun `one that is forgotten is closed and told of`() {
        val said = CountDownLatch(1)
        var message = ""
        Localgrad.setLog({ _, text ->
            if (text.contains("never closed")) {
                message = text
                said.countDown()
            }
        })
        try {
            var trainer: Trainer? = Trainer(Pictures.network(), Pictures.config())
            assertFalse(trainer!!.isResumed)
            @Suppress("UNUSED_VALUE", "ASSIGNED_VALUE_IS_NEVER_READ")
            trainer = null
            for (attempt in 0 until 100) {
                System.gc()
                if (said.await(50, TimeUnit.MILLISECONDS)) break
            }
            assertTrue(message, message.contains("Trainer of resnet8"))
        } finally {
            Localgrad.setLog(null)
        }
    }
}
