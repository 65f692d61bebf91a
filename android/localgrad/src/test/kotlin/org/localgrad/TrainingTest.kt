package org.localgrad

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class TrainingTest {
    @Test
    fun `a network learns what a source gives`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            val held = Pictures.samples(1_000_000, 64)
            val before = trainer.evaluate(held)
            trainer.source = Pictures.source()
            val result = trainer.train(Until.steps(60))
            assertEquals(TrainResult(Reason.DONE, 60, 60, result.loss), result)
            val after = trainer.evaluate(held)
            assertEquals(64, after.samples)
            assertTrue("$before, then $after", after.accuracy > 0.9 && after.loss < before.loss)

            val right = trainer.predict(held).zip(held.labels.asIterable()).count { (found, label) ->
                assertEquals(1.0, found.sumOf { it.probability.toDouble() }, 1e-5)
                assertEquals(found.sortedByDescending { it.probability }, found)
                found.first().index == label
            }
            assertEquals(after.accuracy, right / 64.0, 1e-9)
            val info = trainer.info
            assertEquals(listOf(2L, 16L, 0L, 60L, 960L), listOf(
                info.blocks.toLong(), info.batch.toLong(), info.pending.toLong(), info.steps, info.samples,
            ))
        }
    }

    @Test
    fun `the library says what it is`() {
        assertTrue(Localgrad.version.matches(Regex("""\d+\.\d+\.\d+""")))
        assertTrue("resnet20" in Localgrad.models && "mobilenet_v2" in Localgrad.models)
        assertTrue(Localgrad.devices.single { it.name == "cpu" }.isAvailable)
        val (with, without) = Localgrad.buildOptions.split("; without ")
        assertTrue(with, with.contains(" cpu ") && with.contains("pooled-memory") && with.contains("simd="))
        assertEquals("cuda, metal", without)
    }

    private fun bytesAfterPushing(push: (Trainer, Long) -> Unit): ByteArray = runBlocking {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            for (number in 0L until 3L) {
                push(trainer, number)
                assertEquals(8, trainer.info.pending)
                assertEquals(number + 1, trainer.step().number)
            }
            Pictures.bytes(trainer)
        }
    }

    @Test
    fun `frames of bytes are pushed in both layouts, and floats`() {
        val rows = bytesAfterPushing { trainer, number -> trainer.push(Pictures.samples(8 * number, 8)) }
        val planes = bytesAfterPushing { trainer, number ->
            trainer.push(Pictures.samples(8 * number, 8, Layout.NCHW))
        }
        assertArrayEquals(rows, planes)
        val oneByOne = bytesAfterPushing { trainer, number ->
            for (sample in 0 until 8) trainer.push(Pictures.samples(8 * number + sample, 1))
        }
        assertArrayEquals(rows, oneByOne)
        val floats = bytesAfterPushing { trainer, number ->
            val bytes = Pictures.samples(8 * number, 8)
            val images = FloatArray(bytes.buffer.capacity()) { (bytes.buffer.get(it).toInt() and 255) / 255f }
            trainer.push(Samples.of(images, bytes.labels))
        }
        assertArrayEquals(rows, floats)
    }

    @Test
    fun `a part of a buffer is read where it lies`() {
        val whole = bytesAfterPushing { trainer, number -> trainer.push(Pictures.samples(8 * number, 8)) }
        val parts = bytesAfterPushing { trainer, number ->
            val bytes = Pictures.samples(8 * number, 8)
            val room = ByteBuffer.allocateDirect(bytes.buffer.capacity() + 100).order(ByteOrder.nativeOrder())
            room.position(37)
            room.put(bytes.buffer)
            room.limit(room.position())
            room.position(37)
            trainer.push(Samples(room, bytes.labels))
        }
        assertArrayEquals(whole, parts)
    }

    @Test
    fun `what was pushed can be forgotten`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.push(Pictures.samples(0, 4))
            trainer.discardPushed()
            assertEquals(0, trainer.info.pending)
        }
    }

    @Test
    fun `a deadline, a watcher and the end of the data end a run`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            val late = trainer.train(deadline = 50.milliseconds)
            assertEquals(Reason.DEADLINE, late.reason)
            assertTrue(late.newSteps > 0)

            val stopped = trainer.train { step -> step.number < late.steps + 3 }
            assertEquals(Reason.STOPPED, stopped.reason)
            assertEquals(3, stopped.newSteps)

            val end = stopped.steps + 2
            trainer.source = Source { number -> if (number < end) Pictures.samples(number, 4) else null }
            val ended = trainer.train()
            assertEquals(TrainResult(Reason.DATA_ENDED, end, 2, ended.loss), ended)
        }
    }

    @Test
    fun `epochs are counted in the samples of a source`() = runBlocking<Unit> {
        val epochs = object : SizedSource {
            override val size = 40
            override val batch = 16
            override fun samples(number: Long) = Pictures.samples(number, 16)
        }
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = epochs
            // Two batches of 16 and one of 8.
            assertEquals(6, trainer.train(epochs = 2).steps)
        }
    }

    @Test
    fun `numbers are changed while it trains`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer[Setting.LEARNING_RATE] = 0.125
            trainer[Setting.CLIP_NORM] = 2.0
            assertEquals(0.125, trainer[Setting.LEARNING_RATE], 0.0)
            assertEquals(2.0, trainer[Setting.CLIP_NORM], 0.0)
            assertEquals(0.125, trainer.info.learningRate, 0.0)
            trainer.push(Pictures.samples(0, 4))
            assertEquals(0.125, trainer.step().learningRate, 0.0)
            assertEquals(2, trainer.losses.size)
        }
    }

    @Test
    fun `two trainers at once train as each does alone`() {
        fun trained(seed: Long): ByteArray =
            Trainer(Pictures.network(), Pictures.config { this.seed = seed }).use { trainer ->
                trainer.source = Pictures.source()
                trainer.blocking.train(TrainOptions().apply { until = Until.steps(20) })
                Pictures.bytes(trainer)
            }

        val alone = listOf(trained(1), trained(2))
        val together = arrayOfNulls<ByteArray>(2)
        val threads = (0..1).map { number -> Thread { together[number] = trained(number + 1L) } }
        threads.forEach { it.start() }
        threads.forEach { it.join() }
        for (number in 0..1) assertArrayEquals(alone[number], together[number])
    }
}
