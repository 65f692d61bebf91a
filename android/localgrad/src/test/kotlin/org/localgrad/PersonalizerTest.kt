package org.localgrad

import java.io.File
import java.nio.file.Files
import kotlin.random.Random
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class PersonalizerTest {
    /** Shapes of a size of 16, in colours and places of chance: ten classes that a small network can tell apart. */
    private object Shapes {
        const val SIDE = 16

        fun draw(label: Int, random: Random): ByteArray {
            val image = ByteArray(SIDE * SIDE * 3) { random.nextInt(60).toByte() }
            val colour = IntArray(3) { 150 + random.nextInt(100) }
            val (top, left) = random.nextInt(4) to random.nextInt(4)
            for (row in 0 until 12) {
                for (column in 0 until 12) {
                    if (!isInside(label, row, column)) continue
                    val place = ((top + row) * SIDE + left + column) * 3
                    for (channel in 0 until 3) image[place + channel] = colour[channel].toByte()
                }
            }
            return image
        }

        private fun isInside(label: Int, row: Int, column: Int): Boolean = when (label) {
            0 -> row % 4 < 2
            1 -> column % 4 < 2
            2 -> (row / 3 + column / 3) % 2 == 0
            3 -> row in 4..7 || column in 4..7
            4 -> (row - 6) * (row - 6) + (column - 6) * (column - 6) < 30
            5 -> row < 3 || row > 8 || column < 3 || column > 8
            6 -> Math.abs(row - column) < 3
            7 -> row + column < 12
            8 -> Math.abs(row - column) < 2 || Math.abs(row + column - 11) < 2
            else -> row in 1..3 || row in 8..10
        }

        fun batch(labels: IntRange, count: Int, seed: Int): Samples {
            val random = Random(seed)
            val chosen = IntArray(count) { labels.first + it % labels.count() }
            val images = chosen.map { draw(it, random) }
            return Samples.of(images.reduceAll(), IntArray(count) { chosen[it] - labels.first })
        }

        private fun List<ByteArray>.reduceAll(): ByteArray {
            val all = ByteArray(sumOf { it.size })
            forEachIndexed { index, image -> image.copyInto(all, index * image.size) }
            return all
        }
    }

    private val names = listOf("ring", "stroke", "corner", "cross", "bars")

    /** A network that has learnt the first five. */
    private fun pretrained(file: File) {
        val network = Network.create("resnet8") {
            height = Shapes.SIDE
            width = Shapes.SIDE
            classes = 5
            widths = listOf(8, 8, 16, 32)
        }
        val config = TrainerConfig().apply {
            rule = "bp"
            batch = 20
            learningRate = 0.1
            threads = 1
        }
        Trainer(network, config).use { trainer ->
            trainer.source = Source { number -> Shapes.batch(0..4, 20, number.toInt()) }
            trainer.blocking.train(TrainOptions().apply { until = Until.steps(120) })
            val accuracy = trainer.blocking.evaluate(Shapes.batch(0..4, 100, -1)).accuracy
            println("the first five classes: $accuracy")
            assertTrue("$accuracy", accuracy > 0.9)
            trainer.blocking.export(file)
        }
    }

    @Test
    fun `a network learns five other classes from twenty images each`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("personalizer").toFile()
        val file = File(directory, "base.safetensors")
        pretrained(file)
        val held = Shapes.batch(5..9, 100, -2)
        val options = PersonalizerOptions().apply {
            lastUnits = 1
            epochs = 15
            threads = 1
            mirror = false
        }
        val place = File(directory, "own")
        fun open() = Personalizer(place, Network.load(file), names, options)

        open().use { personalizer ->
            assertThrows(LocalgradException.Config::class.java) { runBlocking { personalizer.train() } }
            for (number in 0 until 100) personalizer.add(Shapes.draw(5 + number % 5, Random(number)), names[number % 5])
            assertEquals(names.associateWith { 20 }, personalizer.counts)
            val before = personalizer.trainer.evaluate(held).accuracy
            val slice = personalizer.train(deadline = 1.milliseconds)
            assertEquals(Reason.DEADLINE, slice.reason)
            println("before: $before")
        }
        // A day later, or after a kill in the middle of an example.
        File(place, "examples").appendBytes(ByteArray(50))
        val exported = File(directory, "exported.safetensors")
        val logits = open().use { personalizer ->
            assertEquals(names.associateWith { 20 }, personalizer.counts)
            assertTrue(personalizer.trainer.isResumed && personalizer.trainer.info.steps >= 1)
            assertEquals(Reason.DONE, personalizer.train().reason)
            assertEquals(Reason.DONE, personalizer.train().reason)
            val after = personalizer.trainer.evaluate(held).accuracy
            println("five other classes from 20 images each: $after")
            assertTrue("$after", after > 0.75)
            personalizer.export(exported)
            personalizer.trainer.logits(held)
        }
        val network = Network.load(exported)
        assertEquals(names, network.classNames)
        Trainer(network) { threads = 1 }.use { assertArrayEquals(logits, it.logits(held), 1e-3f) }
        assertThrows(LocalgradException.Config::class.java) { Personalizer(place, Network.load(file), names.reversed(), options) }
        directory.deleteRecursively()
    }
}
