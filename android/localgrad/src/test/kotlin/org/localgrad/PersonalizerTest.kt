package org.localgrad

import java.io.File
import java.nio.file.Files
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class PersonalizerTest {
    /** A network that has learnt the first five classes. */
    private fun pretrained(pictures: Photos, file: File) {
        val network = Network.create("resnet8") {
            channels = pictures.channels
            height = pictures.side
            width = pictures.side
            classes = 5
            widths = listOf(8, 8, 16, 32)
        }
        val config = TrainerConfig().apply {
            rule = "bp"
            batch = 50
            learningRate = 0.1
            threads = 1
        }
        val all = pictures.ofClasses(0..4, isTest = false)
        Trainer(network, config).use { trainer ->
            trainer.source = Source { number -> pictures.samples(List(50) { all[(number.toInt() * 50 + it) % all.size] }) }
            trainer.blocking.train(TrainOptions().apply { until = Until.steps(pictures.steps) })
            val accuracy = trainer.blocking.evaluate(pictures.held(0..4)).accuracy
            println("${pictures.name}: the first five classes: $accuracy")
            assertTrue("$accuracy", accuracy > pictures.chance + 0.2)
            trainer.blocking.export(file)
        }
    }

    @Test
    fun `a network learns five other classes from twenty images each`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("personalizer").toFile()
        val file = File(directory, "base.safetensors")
        val pictures = Photos.open()
        val names = pictures.names.drop(5)
        pretrained(pictures, file)
        val held = pictures.held(5..9)
        val few = (5..9).flatMap { label -> pictures.ofClasses(label..label, isTest = false).take(20) }
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
            for ((image, label) in few) personalizer.add(image, names[label - 5])
            assertEquals(names.associateWith { 20 }, personalizer.counts)
            val before = personalizer.trainer.evaluate(held).accuracy
            val slice = personalizer.train(deadline = 1.milliseconds)
            assertEquals(Reason.DEADLINE, slice.reason)
            println("${pictures.name}: five other classes before: $before")
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
            println("${pictures.name}: five other classes from 20 images each: $after")
            assertTrue("$after", after > pictures.chance + pictures.learned)
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
