package org.localgrad

import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.launch
import org.junit.Assert.assertTrue
import org.junit.Test

/** The examples of this library's readme and of the front page, as they are there. */
class ReadmeTest {
    private fun show(@Suppress("unused") what: Any) = Unit

    @Suppress("unused")
    suspend fun CoroutineScope.twentyLines(weights: File, directory: File, photos: SizedSource, photo: Frame) {
        val network = Network.load(weights).replaceHead(listOf("apple", "pear", "plum"))
        val trainer = Trainer(network) {
            train = Train.lastUnits(1)
            memoryBudget = 64.mebibytes
            checkpoints = File(directory, "fruit")
        }
        trainer.use {
            trainer.source = photos
            val progress = launch { trainer.events.collect { event -> show(event.progress) } }
            val result = trainer.train(epochs = 10, deadline = 25.seconds)
            if (result.reason == Reason.DONE) trainer.export(File(directory, "fruit.safetensors"))
            show(trainer.predict(photo).first().name)
            progress.cancel()
        }
    }

    @Suppress("unused")
    suspend fun learn(photos: Source, files: File) {
        val base =
            Network.load(File(files, "base.safetensors"))
        val fruit = listOf("apple", "pear", "plum")
        val trainer = Trainer(base.replaceHead(fruit)) {
            memoryBudget = 64.mebibytes
            train = Train.lastUnits(1)
            checkpoints = File(files, "fruit")
        }
        trainer.use {
            trainer.source = photos
            trainer.train(deadline = 25.seconds)
            trainer.export(File(files, "fruit.safetensors"))
        }
    }

    @Suppress("unused")
    suspend fun personal(weights: File, directory: File, photo: Frame) {
        Personalizer(directory, Network.load(weights), listOf("apple", "pear", "plum")).use { personalizer ->
            personalizer.add(photo, "pear")
            personalizer.train(deadline = 25.seconds)
            show(personalizer.predict(photo).first().name)
        }
    }

    @Suppress("unused")
    suspend fun labelled(weights: File, photo: Frame, held: Samples) {
        val network = Network.load(weights).replaceObjective(Objective.Labels).replaceHead(listOf("sweet", "red", "round"))
        Trainer(network) { train = Train.lastUnits(1) }.use { trainer ->
            trainer.push(photo, floatArrayOf(1f, 0f, 1f))
            trainer.step()
            val found = trainer.evaluate(held)
            show("${found.metricName}: ${found.metric}")
        }
    }

    @Suppress("unused")
    suspend fun texts(tokens: IntArray, labels: IntArray) {
        val network = Network.create("text_tcn") { width = 128; vocabulary = 5000; classes = 2 }
        Trainer(network).use { trainer ->
            trainer.push(Samples.ofTokens(tokens, labels))
            trainer.step()
        }
    }

    private fun words(text: String): String = text.lines().joinToString("\n") { it.trim() }

    @Test
    fun `what the readme shows compiles`() {
        // The tests run in the library's own directory, below that of the readme.
        val here = words(File("src/test/kotlin/org/localgrad/ReadmeTest.kt").readText())
        for (readme in listOf(File("../README.md"), File("../../README.md"))) {
            val examples = readme.readText().split("```kotlin\n").drop(1).map { it.substringBefore("```") }
            assertTrue("$readme", examples.isNotEmpty())
            for (example in examples) assertTrue("$readme:\n$example", here.contains(words(example).trim()))
        }
    }
}
