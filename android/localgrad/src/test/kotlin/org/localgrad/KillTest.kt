package org.localgrad

import java.io.File
import java.nio.file.Files
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/** A process that trains as far as it gets, and writes the weights when it is through. */
internal object Child {
    const val STEPS = 150L

    @JvmStatic
    fun main(arguments: Array<String>) {
        val directory = File(arguments[0])
        val config = Pictures.config {
            checkpoints = File(directory, "checkpoints")
            checkpointSteps = 1
        }
        Trainer(Pictures.network(), config).use { trainer ->
            println(if (trainer.isResumed) "resumed at ${trainer.info.steps}" else "new")
            trainer.source = Pictures.source()
            trainer.blocking.train(TrainOptions().apply { until = Until.steps(STEPS) })
            trainer.blocking.export(File(directory, "weights"))
        }
    }
}

class KillTest {
    private fun start(directory: File): Process {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val library = "-Djava.library.path=${System.getProperty("java.library.path")}"
        val path = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
        val words = listOf(java, "-XX:TieredStopAtLevel=1", library, "-cp", path, Child::class.java.name, directory.path)
        return ProcessBuilder(words).redirectErrorStream(true).start()
    }

    /** The bytes of the weights after a run through C that nobody interrupts. */
    private fun throughC(steps: Long): ByteArray {
        val twin = System.getProperty("localgrad.twin").orEmpty()
        assumeTrue("no program was made of benches/twin.c", twin.isNotEmpty())
        val weights = File.createTempFile("twin", ".safetensors")
        val run = ProcessBuilder(twin, "$steps", "16", weights.path).redirectErrorStream(true).start()
        val said = run.inputStream.bufferedReader().readText()
        assertEquals(said, 0, run.waitFor())
        return weights.readBytes().also { weights.delete() }
    }

    @Test
    fun `a process that is killed at random moments ends in the bytes of C`() {
        val directory = Files.createTempDirectory("kill").toFile()
        val weights = File(directory, "weights")
        val random = Random(System.nanoTime())
        val said = ArrayList<String>()
        for (kill in 0 until 3) {
            val child = start(directory)
            val output = child.inputStream.bufferedReader()
            // It trains from here on.
            said.add(output.readLine() ?: "nothing")
            child.waitFor(random.nextLong(400), TimeUnit.MILLISECONDS)
            child.destroyForcibly().waitFor()
        }
        val last = start(directory)
        said.add(last.inputStream.bufferedReader().readText().trim())
        assertEquals(said.toString(), 0, last.waitFor())
        assertEquals("new", said.first())
        assertTrue(said.toString(), said.last().startsWith("resumed at "))
        assertArrayEquals(throughC(Child.STEPS), weights.readBytes())
        directory.deleteRecursively()
    }

    @Test
    fun `an uninterrupted run ends in the bytes of C`() {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            trainer.blocking.train(TrainOptions().apply { until = Until.steps(40) })
            assertArrayEquals(throughC(40), Pictures.bytes(trainer))
        }
    }
}
