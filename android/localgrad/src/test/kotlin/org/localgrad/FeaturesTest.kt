package org.localgrad

import java.io.File
import java.nio.ByteOrder
import java.nio.file.Files
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What stays as it is of a network, passed once. */
class FeaturesTest {
    private fun config(change: TrainerConfig.() -> Unit = {}) = Pictures.config {
        blocks = 0
        train = Train.lastUnits(2)
        change()
    }

    private inline fun <reified T : LocalgradException> refused(word: String, noinline work: suspend () -> Unit) {
        val failure = assertThrows(T::class.java) { runBlocking { work() } }
        assertTrue("${failure.message} does not say $word", failure.message!!.contains(word))
    }

    private fun numbers(samples: Samples): List<Byte> {
        val buffer = samples.buffer.duplicate()
        return List(buffer.remaining()) { buffer.get() }
    }

    @Test
    fun `features train, are judged and predicted as their images are`() = runBlocking<Unit> {
        val ways = listOf(
            config(),
            config { train = Train.HEAD; rule = null },
            config { microBatch = 6; recompute = true },
            config { offload = true; scratch = Files.createTempDirectory("scratch").toFile() },
        )
        for (config in ways) {
            Trainer(Pictures.network(), config).use { plain ->
                Trainer(Pictures.network(), config).use { trainer ->
                    val kept = (0L until 3L).map { trainer.features(Pictures.samples(16 * it, 16)) }
                    assertTrue(kept.all { it.areFeatures && it.buffer.remaining() == 16 * 4 * trainer.featureCount })
                    plain.source = Source { Pictures.samples(16 * (it % 3), 16) }
                    trainer.source = Source { kept[(it % 3).toInt()] }
                    plain.train(Until.steps(7))
                    trainer.train(Until.steps(6))
                    trainer.push(kept[0])
                    trainer.step()
                    assertArrayEquals(Pictures.bytes(plain), Pictures.bytes(trainer))
                    val images = Pictures.samples(16, 16)
                    assertEquals(trainer.evaluate(images), trainer.evaluate(kept[1]))
                    assertArrayEquals(trainer.logits(images), trainer.logits(kept[1]), 0f)
                    assertEquals(trainer.predict(images), trainer.predict(kept[1]))
                }
            }
        }
    }

    @Test
    fun `features are of their image alone, and the body is not passed again`() = runBlocking<Unit> {
        Trainer(Pictures.network(), config()).use { trainer ->
            val all = trainer.features(Pictures.samples(0, 20))
            val planes = trainer.features(Pictures.samples(18, 2, Layout.NCHW))
            val rowBytes = 4 * trainer.featureCount
            assertEquals(numbers(all).drop(18 * rowBytes), numbers(planes))
            val image = Pictures.samples(19, 1)
            val frame = Frame(image.buffer, Pictures.SIDE, Pictures.SIDE, FrameFormat.RGB)
            val framed = trainer.features(frame, 3)
            assertEquals(numbers(planes).drop(rowBytes), numbers(framed))
            assertEquals(listOf(3), framed.labels.toList())

            // Whatever becomes of the body, a step on features is the same.
            val state = trainer.state()
            trainer.push(Pictures.samples(0, 16))
            val loss = trainer.step().loss
            val learnt = trainer.weights(block = 1).map { it.bytes.toList() }
            trainer.restore(state)
            val kept = trainer.features(Pictures.samples(0, 16))
            val body = trainer.weights(block = 0).filter { !it.isStatistic }
            trainer.setWeights(body.map { it.withFloats(FloatArray(it.toFloats().size)) })
            val floats = FloatArray(16 * trainer.featureCount)
            kept.buffer.duplicate().order(ByteOrder.nativeOrder()).asFloatBuffer().get(floats)
            trainer.push(Samples.ofFeatures(floats, kept.labels))
            assertEquals(loss, trainer.step().loss, 0.0)
            assertEquals(learnt, trainer.weights(block = 1).map { it.bytes.toList() })
        }
    }

    @Test
    fun `what are no features is refused, and changes nothing`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            refused<LocalgradException.Config>("first unit is trained") { trainer.featureCount }
            refused<LocalgradException.Config>("last-2-units") { trainer.features(Pictures.samples(0, 1)) }
            refused<LocalgradException.Config>("first unit is trained") {
                trainer.push(Samples.ofFeatures(FloatArray(8), intArrayOf(0)))
            }
        }
        Trainer(Pictures.network(), config()).use { trainer ->
            val images = Pictures.samples(0, 2)
            val kept = trainer.features(images)
            refused<LocalgradException.Argument>("features already") { trainer.features(kept) }
            refused<LocalgradException.Shape>("2 rows of") {
                trainer.push(Samples.ofFeatures(FloatArray(trainer.featureCount), intArrayOf(0, 1)))
            }
            refused<LocalgradException.Argument>("sample 1") {
                val spoiled = FloatArray(2 * trainer.featureCount) { if (it > trainer.featureCount) Float.NaN else 0f }
                trainer.push(Samples.ofFeatures(spoiled, intArrayOf(0, 1)))
            }
            trainer.push(images)
            refused<LocalgradException.Config>("or all as features") { trainer.push(kept) }
            trainer.discardPushed()
            trainer.push(kept)
            refused<LocalgradException.Config>("or all as features") { trainer.push(images) }
            refused<LocalgradException.State>("features were pushed") { trainer.setWeights(trainer.weights()) }
            assertEquals(2, trainer.info.pending)
            trainer.step()
            trainer.setWeights(trainer.weights())
        }
    }

    /** A network that has learnt the pictures a little. */
    private fun base(directory: File): Network {
        val file = File(directory, "base.safetensors")
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            trainer.blocking.train(TrainOptions().apply { until = Until.steps(20) })
            trainer.blocking.export(file)
        }
        return Network.load(file)
    }

    private val names = List(Pictures.CLASSES) { "class $it" }

    private fun options(change: PersonalizerOptions.() -> Unit = {}) = PersonalizerOptions().apply {
        lastUnits = 2
        epochs = 6
        threads = 1
        change()
    }

    private suspend fun filled(place: File, base: Network, options: PersonalizerOptions, count: Long = 32): Personalizer {
        val personalizer = Personalizer(place, base, names, options)
        for (number in personalizer.counts.values.sum() until count) {
            val (image, label) = Pictures.image(number)
            personalizer.add(image, names[label])
        }
        return personalizer
    }

    @Test
    fun `a personalizer that keeps features learns the same, and passes each image once`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("kept").toFile()
        val base = base(directory)
        for (mirrors in listOf(true, false)) {
            val showings = if (mirrors) 64L else 32L
            val plain = options {
                mirror = mirrors
                featureMemory = 0
            }
            val expected = filled(File(directory, "plain$mirrors"), base, plain).use { personalizer ->
                assertEquals(Reason.DONE, personalizer.train().reason)
                assertEquals(0, personalizer.passes)
                Pictures.bytes(personalizer.trainer) to personalizer.evaluate()
            }
            val keeping = options { mirror = mirrors }
            val place = File(directory, "kept$mirrors")
            filled(place, base, keeping).use { personalizer ->
                val steps = ArrayList<Long>()
                val found = personalizer.train { steps.add(it.number) }
                assertEquals(TrainResult(Reason.DONE, 12, 12, found.loss), found)
                assertEquals((1L..12L).toList(), steps)
                assertArrayEquals(expected.first, Pictures.bytes(personalizer.trainer))
                assertEquals(showings, personalizer.passes)
                assertEquals(expected.second, personalizer.evaluate())
                assertEquals(showings, personalizer.passes)
                // Of other weights, everything passes anew.
                personalizer.trainer.setWeights(personalizer.trainer.weights())
                assertEquals(expected.second, personalizer.evaluate())
                assertEquals(2 * showings, personalizer.passes)
            }
            // In slices that are too short for one step, and each in a process of its own.
            val slices = File(directory, "slices$mirrors")
            var reason = Reason.DEADLINE
            var count = 0L
            while (reason == Reason.DEADLINE) {
                filled(slices, base, keeping).use { personalizer ->
                    val found = personalizer.train(deadline = 1.milliseconds)
                    reason = found.reason
                    assertTrue("$found", found.newSteps >= 1 || reason == Reason.DONE)
                    count += found.newSteps
                    if (reason == Reason.DONE) assertArrayEquals(expected.first, Pictures.bytes(personalizer.trainer))
                }
            }
            assertEquals(12, count)
        }
        directory.deleteRecursively()
    }

    @Test
    fun `a personalizer keeps features where there are any, and room`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("room").toFile()
        val base = base(directory)
        val small = options { featureMemory = 10_000 }
        filled(File(directory, "small"), base, small).use {
            it.train()
            assertEquals(0, it.passes)
        }
        // Everything is trained, so that nothing stays as it is.
        filled(File(directory, "all"), base, options { lastUnits = base.units }).use {
            it.train()
            assertEquals(0, it.passes)
        }
        // The last step has fewer, and examples come later.
        filled(File(directory, "odd"), base, options { mirror = false }, count = 19).use {
            it.train()
            assertEquals(19, it.passes)
            val (image, label) = Pictures.image(100)
            it.add(image, names[label])
            it.train()
            it.evaluate()
            assertEquals(20, it.passes)
            assertEquals(20, it.evaluate().samples)
        }
        filled(File(directory, "cancelled"), base, options()).use { personalizer ->
            personalizer.trainer.pause()
            val found = personalizer.train(deadline = 20.milliseconds)
            assertEquals(Reason.DEADLINE to 0L, found.reason to found.newSteps)
            personalizer.trainer.resume()
            val stopped = personalizer.train { it.number < 3 }
            assertEquals(Reason.STOPPED to 3L, stopped.reason to stopped.steps)
            personalizer.trainer.cancel()
            assertEquals(Reason.CANCELLED, personalizer.train().reason)
            assertEquals(Reason.DONE, personalizer.trainBlocking().reason)
        }
        directory.deleteRecursively()
    }
}
