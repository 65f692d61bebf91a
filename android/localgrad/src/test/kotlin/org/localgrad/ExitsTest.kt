package org.localgrad

import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Samples leave by the first exit that is sure enough. */
class ExitsTest {
    private val samples = Pictures.samples(5000, 48)

    private suspend fun trained(): Trainer {
        val trainer = Trainer(Pictures.network(), Pictures.config())
        trainer.source = Pictures.source()
        trainer.train(Until.steps(60))
        return trainer
    }

    private inline fun <reified T : LocalgradException> refused(word: String, noinline work: suspend () -> Unit) {
        val failure = assertThrows(T::class.java) { runBlocking { work() } }
        assertTrue("${failure.message} does not say $word", failure.message!!.contains(word))
    }

    private fun accuracy(predictions: List<List<Prediction>>): Double =
        predictions.indices.count { predictions[it].first().index == samples.labels[it] } / samples.count.toDouble()

    @Test
    fun `each exit is judged, and the last is the network's end`() = runBlocking<Unit> {
        trained().use { trainer ->
            val exits = trainer.evaluateExits(samples)
            assertEquals(2, exits.size)
            assertTrue("$exits", exits.all { it.accuracy > 0.4 && it.temperature > 0 })
            assertEquals(trainer.evaluate(samples).accuracy, exits[1].accuracy, 0.0)
            assertEquals(exits, trainer.blocking.evaluateExits(samples))
        }
    }

    @Test
    fun `samples leave where it is sure enough`() = runBlocking<Unit> {
        trained().use { trainer ->
            val exits = trainer.evaluateExits(samples)
            val atOnce = trainer.predictEarly(samples, 1e-9)
            assertTrue(atOnce.all { it.exit == 0 })
            assertEquals(exits[0].accuracy, accuracy(atOnce.map { it.predictions }), 0.0)

            val whole = trainer.predict(samples)
            val early = trainer.predictEarly(samples, 0.8, exits)
            assertTrue(early.any { it.exit == 0 })
            for ((sample, found) in early.withIndex()) {
                val sure = found.predictions.first().probability
                if (found.exit == 0) {
                    assertTrue("$sure", sure >= 0.8f - 1e-6f)
                } else {
                    assertEquals(whole[sample].first().index, found.predictions.first().index)
                }
            }
            assertEquals(early, trainer.blocking.predictEarly(samples, 0.8, exits))
            // Twice as warm is half as sure.
            val warm = exits.map { it.copy(temperature = it.temperature * 2) }
            val cooled = trainer.predictEarly(samples, 1e-9, exits)
            val warmed = trainer.predictEarly(samples, 1e-9, warm)
            assertTrue(
                cooled.indices.all {
                    warmed[it].predictions[0].probability < cooled[it].predictions[0].probability
                },
            )
        }
    }

    @Test
    fun `what cannot be asked is refused`() = runBlocking<Unit> {
        trained().use { trainer ->
            val exits = trainer.evaluateExits(samples)
            refused<LocalgradException.Argument>("confidence") { trainer.predictEarly(samples, 0.0) }
            refused<LocalgradException.Argument>("confidence") { trainer.predictEarly(samples, Double.NaN) }
            refused<LocalgradException.Argument>("2 exits") { trainer.predictEarly(samples, 0.5, exits.take(1)) }
            refused<LocalgradException.Argument>("above 0") {
                trainer.predictEarly(samples, 0.5, exits.map { it.copy(temperature = 0.0) })
            }
            val unlabelled = Samples.of(ByteArray(Pictures.PIXELS), IntArray(0), 1)
            refused<LocalgradException.Argument>("labels") { trainer.evaluateExits(unlabelled) }
            assertEquals(1, trainer.predictEarly(unlabelled, 0.5).size)
        }
        Trainer(
            Network.create("resnet8") {
                height = Pictures.SIDE
                width = Pictures.SIDE
                classes = Pictures.CLASSES
                widths = listOf(4, 4, 8, 8)
                objective = Objective.Labels
            },
            Pictures.config(),
        ).use { trainer ->
            val labelled = Samples.of(ByteArray(Pictures.PIXELS), listOf(FloatArray(Pictures.CLASSES)))
            refused<LocalgradException.Config>("exits") { trainer.evaluateExits(labelled) }
        }
    }
}
