package org.localgrad

import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What a phone must show, too: these run on the JVM and, by Gradle's `connectedCheck`, on a device. */
class DeviceTest {
    private fun <T> inDirectory(work: (File) -> T): T {
        val directory = File.createTempFile("device", "")
        directory.delete()
        return try {
            work(directory)
        } finally {
            directory.deleteRecursively()
        }
    }

    @Test
    fun learnsAndTells() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            var steps = 0
            trainer.addListener({ it.run() }, { event -> if (event is Event.StepDone) steps++ })
            trainer.source = Pictures.source()
            assertEquals(Reason.DONE, trainer.train(Until.steps(60), 600.seconds).reason)
            assertEquals(60, steps)
            assertTrue(trainer.evaluate(Pictures.samples(1_000_000, 64)).accuracy > 0.9)
        }
        assertTrue(Localgrad.buildOptions, Localgrad.buildOptions.contains(" cpu "))
    }

    @Test
    fun goesOnFromACheckpointInTheSameBytes() = inDirectory { directory ->
        fun train(place: File?, last: Long): ByteArray =
            Trainer(Pictures.network(), Pictures.config { checkpoints = place }).use { trainer ->
                trainer.source = Pictures.source()
                trainer.blocking.train(TrainOptions().apply { until = Until.steps(last) })
                trainer.blocking.weights().flatMap { it.bytes.asIterable() }.toByteArray()
            }
        train(directory, 5)
        assertArrayEquals(train(null, 12), train(directory, 12))
    }

    @Test
    fun throwsWhatASourceThrows() {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Source { throw IllegalStateException("no camera") }
            val thrown = assertThrows(IllegalStateException::class.java) { trainer.blocking.train() }
            assertEquals("no camera", thrown.message)
        }
    }

    @Test
    fun refusesABudgetAndAClosedTrainer() {
        val refused = assertThrows(LocalgradException.Budget::class.java) {
            Trainer(Network.create("resnet20")) { memoryBudget = 1.mebibytes }
        }
        assertTrue(refused.leastBytes > 1.mebibytes)
        val trainer = Trainer(Pictures.network(), Pictures.config())
        trainer.close()
        assertThrows(LocalgradException.Closed::class.java) { trainer.info }
    }
}
