package org.localgrad

import java.io.File
import java.nio.file.Files
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** A network of tokens, such as the words of texts. */
class TokensTest {
    private fun network(): Network = Network.create("text_tcn") {
        width = LENGTH
        vocabulary = VOCABULARY
        classes = CLASSES
    }

    private fun config() = Pictures.config { learningRate = 0.02 }

    /** Texts of noise, in which the token behind the class's number stands somewhere. */
    private fun tokens(first: Long, count: Int) = IntArray(count * LENGTH) { at ->
        val number = first + at / LENGTH
        val place = (number * 7 % LENGTH).toInt()
        if (at % LENGTH == place) 1 + label(number) else 1 + CLASSES + noise(number * LENGTH + at % LENGTH)
    }

    private fun noise(seed: Long): Int = ((seed * 6364136223846793005 ushr 33) % (VOCABULARY - 1 - CLASSES)).toInt()

    private fun label(number: Long): Int = (number % CLASSES).toInt()

    private fun samples(first: Long, count: Int): Samples =
        Samples.ofTokens(tokens(first, count), IntArray(count) { label(first + it) })

    private fun source() = Source { number -> samples(number * 16, 16) }

    private inline fun <reified T : LocalgradException> refused(word: String, noinline work: suspend () -> Unit) {
        val failure = assertThrows(T::class.java) { runBlocking { work() } }
        assertTrue("${failure.message} does not say $word", failure.message!!.contains(word))
    }

    @Test
    fun `texts are learnt, judged and predicted`() = runBlocking<Unit> {
        val network = network()
        assertEquals(listOf(1, 1, LENGTH, VOCABULARY), network.run { listOf(channels, height, width, vocabulary) })
        assertTrue("$network".contains("$LENGTH of $VOCABULARY tokens"))
        assertEquals(VOCABULARY, Network.fromJson(network.toJson()).vocabulary)
        assertEquals(0, Pictures.network().vocabulary)
        Trainer(network, config()).use { trainer ->
            val held = samples(1_000_000, 60)
            assertTrue(held.areTokens && !held.isFloat && !held.areFeatures)
            val before = trainer.evaluate(held)
            trainer.source = source()
            trainer.train(Until.steps(60))
            val after = trainer.evaluate(held)
            assertTrue("$before, then $after", after.accuracy > 0.9 && after.loss < before.loss)
            val right = trainer.predict(held).withIndex().count { (at, found) -> found.first().index == held.labels[at] }
            assertEquals(after.accuracy, right / 60.0, 1e-9)
        }
    }

    @Test
    fun `what is pushed trains as what a source gives, and goes on in another trainer`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("tokens").toFile()
        try {
            val whole = Trainer(network(), config()).use { trainer ->
                trainer.source = source()
                trainer.train(Until.steps(6))
                Pictures.bytes(trainer)
            }
            for (steps in listOf(0L until 3L, 3L until 6L)) {
                Trainer(network(), config().apply { checkpoints = File(directory, "run") }).use { trainer ->
                    assertEquals(steps.first > 0, trainer.isResumed)
                    for (number in steps) {
                        trainer.push(samples(16 * number, 16))
                        trainer.step()
                    }
                    trainer.save()
                    if (steps.last == 5L) assertArrayEquals(whole, Pictures.bytes(trainer))
                }
            }
        } finally {
            directory.deleteRecursively()
        }
    }

    @Test
    fun `what is no token of the network is refused`() {
        Trainer(network(), config()).use { trainer ->
            val labels = intArrayOf(0, 1)
            for (wrong in listOf(VOCABULARY, -1)) {
                val tokens = tokens(0, 2).also { it[LENGTH + 3] = wrong }
                refused<LocalgradException.Argument>("sample 1 holds the token") {
                    trainer.push(Samples.ofTokens(tokens, labels))
                }
            }
            refused<LocalgradException.Shape>("rows of $LENGTH tokens") {
                trainer.push(Samples.ofTokens(tokens(0, 1), labels))
            }
            refused<LocalgradException.Argument>("takes tokens, not images") {
                trainer.push(Samples.of(FloatArray(LENGTH), intArrayOf(0)))
            }
            assertEquals(0, trainer.info.pending)
        }
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            refused<LocalgradException.Argument>("not tokens") {
                trainer.push(Samples.ofTokens(IntArray(Pictures.PIXELS), intArrayOf(0)))
            }
        }
        refused<LocalgradException.Config>("takes tokens") { Network.create("text_tcn") }
        refused<LocalgradException.Config>("use a Trainer") {
            Personalizer(File("never made"), network(), listOf("one", "another"))
        }
    }

    private companion object {
        const val LENGTH = 12
        const val VOCABULARY = 30
        const val CLASSES = 3
    }
}
