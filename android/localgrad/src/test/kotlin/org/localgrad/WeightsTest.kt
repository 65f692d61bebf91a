package org.localgrad

import java.io.File
import java.nio.ByteBuffer
import java.nio.file.Files
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class WeightsTest {
    private fun trained(first: Long): Trainer {
        val trainer = Trainer(Pictures.network(), Pictures.config())
        trainer.source = Source { number -> Pictures.samples(first + 16 * number, 16) }
        trainer.blocking.train(TrainOptions().apply { until = Until.steps(30) })
        return trainer
    }

    @Test
    fun `weights of two trainers are averaged by name`() = runBlocking<Unit> {
        trained(0).use { one ->
            trained(5_000).use { other ->
                val (ours, theirs) = one.weights() to other.weights()
                assertEquals(ours.map { it.name }, theirs.map { it.name })
                assertEquals(setOf(0, 1), ours.map { it.block }.toSet())
                assertTrue(ours.any { it.isStatistic } && ours.any { !it.isStatistic })
                val mean = ours.zip(theirs) { a, b ->
                    val (left, right) = a.toFloats() to b.toFloats()
                    a.withFloats(FloatArray(left.size) { (left[it] + right[it]) / 2 })
                }
                one.setWeights(mean)
                for ((set, found) in mean.zip(one.weights())) assertArrayEquals(set.name, set.bytes, found.bytes)
                assertTrue(one.evaluate(Pictures.samples(1_000_000, 64)).accuracy > 0.5)
            }
        }
    }

    @Test
    fun `half of the bytes say nearly the same`() = runBlocking<Unit> {
        trained(0).use { trainer ->
            for ((long, short) in trainer.weights().zip(trainer.weights(Precision.F16))) {
                assertEquals(long.bytes.size, 2 * short.bytes.size)
                val halves = short.toFloats()
                long.toFloats().forEachIndexed { at, number -> assertEquals(number, halves[at], 1e-3f + Math.abs(number) / 1024) }
            }
            trainer.setWeights(trainer.weights(Precision.F16, block = 1))
        }
    }

    @Test
    fun `weights that do not fit change nothing`() = runBlocking<Unit> {
        trained(0).use { trainer ->
            val before = Pictures.bytes(trainer)
            val all = trainer.weights()
            val other = Trainer(Network.create("resnet8"), Pictures.config()).use { it.weights() }
            assertThrows(LocalgradException.Shape::class.java) {
                runBlocking { trainer.setWeights(all.map { it.withFloats(FloatArray(it.toFloats().size)) } + other) }
            }
            val broken = all.first().withFloats(FloatArray(all.first().toFloats().size) { Float.NaN })
            assertThrows(LocalgradException.NotFinite::class.java) { runBlocking { trainer.setWeights(listOf(broken)) } }
            assertArrayEquals(before, Pictures.bytes(trainer))
        }
    }

    @Test
    fun `an exported network says what it is`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("weights").toFile()
        val file = File(directory, "bars.safetensors")
        val names = listOf("top", "upper", "lower", "bottom")
        val held = Pictures.samples(1_000_000, 32)
        val logits = Trainer(Pictures.network().nameClasses(names), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            trainer.train(Until.steps(40))
            trainer.export(file)
            trainer.logits(held)
        }
        for (network in listOf(Network.load(file), Network.load(file.inputStream()))) {
            assertEquals(names, network.classNames)
            Trainer(network, Pictures.config()).use { trainer ->
                assertArrayEquals(logits, trainer.logits(held), 0f)
                assertEquals(names[held.labels[0]], trainer.predict(held).first().first().name)
            }
            assertEquals(listOf("yes", "no"), network.replaceHead(listOf("yes", "no")).classNames)
        }
        assertThrows(LocalgradException.Format::class.java) { Network.load(ByteArray(20).inputStream()) }
        directory.deleteRecursively()
    }

    @Test
    fun `a file from elsewhere is known by its tensors`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("elsewhere").toFile()
        val file = File(directory, "resnet8.safetensors")
        Trainer(Network.create("resnet8") { classes = 4 }, Pictures.config()).use { it.export(file) }
        // The same file with the card of another program.
        val text = file.readBytes().toString(Charsets.ISO_8859_1)
        assertTrue("localgrad.network" in text)
        file.writeBytes(text.replace("localgrad.", "elsewhere.").toByteArray(Charsets.ISO_8859_1))
        val network = Network.load(file)
        assertEquals("resnet8", network.name)
        assertEquals(4, network.classes)
        assertTrue(network.hasWeights && !network.hasNormalization && network.classNames.isEmpty())
        assertEquals(listOf("yes", "no"), network.replaceHead(listOf("yes", "no")).classNames)
        directory.deleteRecursively()
    }

    @Test
    fun `names and normalisation travel with checkpoints and states`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("names").toFile()
        val names = listOf("top", "upper", "lower", "bottom")
        val kept = Pictures.config {
            mean = listOf(0.25f, 0.25f, 0.25f)
            deviation = listOf(0.5f, 0.5f, 0.5f)
            checkpoints = directory
        }
        val plain = Pictures.network()
        assertTrue(!plain.hasWeights && !plain.hasNormalization && plain.classNames.isEmpty())
        val file = File(directory, "bars.safetensors")
        val state = Trainer(plain.nameClasses(names), kept).use { trainer ->
            trainer.export(file)
            trainer.state()
        }
        val exported = Network.load(file)
        assertTrue(exported.hasWeights && exported.hasNormalization)
        Trainer(plain, kept).use { trainer ->
            assertTrue(trainer.isResumed)
            assertEquals(names, trainer.classNames)
            assertTrue(trainer.predict(Pictures.samples(0, 1)).first().first().name in names)
        }
        kept.checkpoints = null
        Trainer(plain, kept).use { trainer ->
            assertTrue(trainer.classNames.isEmpty())
            trainer.restore(state)
            assertEquals(names, trainer.classNames)
        }
        // A normalisation is part of what training is: another one is refused.
        val other = Pictures.config { checkpoints = directory }
        assertThrows(LocalgradException::class.java) { Trainer(plain, other) }
        directory.deleteRecursively()
    }

    @Test
    fun `frames of a camera are read where they lie`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            val (image, label) = Pictures.image(7)
            val side = Pictures.SIDE
            // Four bytes a pixel, in rows that are longer than their pixels, turned by a quarter to the left.
            val rowBytes = 4 * side + 12
            val pixels = ByteBuffer.allocateDirect(rowBytes * side)
            for (row in 0 until side) {
                for (column in 0 until side) {
                    for (channel in 0 until 3) {
                        val place = (side - 1 - column) * rowBytes + 4 * row + channel
                        pixels.put(place, image[(row * side + column) * 3 + channel])
                    }
                }
            }
            val frame = Frame(pixels, side, side, FrameFormat.RGBA, rowBytes, rotationDegrees = 90)
            val whole = trainer.predict(Samples.of(image, intArrayOf(label))).first()
            assertEquals(whole, trainer.predict(frame))
            trainer.push(frame, label)
            assertEquals(1, trainer.info.pending)
            assertThrows(LocalgradException.Argument::class.java) {
                runBlocking { trainer.predict(Frame(pixels, 99, side, FrameFormat.RGBA, rowBytes)) }
            }
        }
    }
}
