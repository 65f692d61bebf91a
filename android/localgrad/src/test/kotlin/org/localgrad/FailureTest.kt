package org.localgrad

import java.io.File
import java.nio.ByteBuffer
import java.nio.file.Files
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class FailureTest {
    private class Dropped : Exception("the camera was dropped")

    private inline fun <reified T : Throwable> refused(vararg words: String, noinline work: suspend () -> Unit): T {
        val failure = assertThrows(T::class.java) { runBlocking { work() } }
        for (word in words) assertTrue("${failure.message} does not say $word", failure.message!!.contains(word))
        return failure
    }

    @Test
    fun `what a source throws comes out of train, and training goes on`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Source { number -> if (number < 3) Pictures.samples(number, 8) else throw Dropped() }
            refused<Dropped>("the camera was dropped") { trainer.train() }
            assertEquals(3, trainer.info.steps)
            refused<Dropped> { trainer.step() }
            refused<Dropped> { trainer.evaluate(Source { throw Dropped() }) }
            trainer.source = Pictures.source()
            assertEquals(4, trainer.train(Until.steps(4)).steps)
        }
    }

    @Test
    fun `what a watcher throws comes out of train`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            refused<Dropped> { trainer.train { step -> if (step.number < 2) true else throw Dropped() } }
            assertEquals(2, trainer.info.steps)
        }
    }

    @Test
    fun `a budget that is too small is refused with the least that would do`() {
        val network = Network.create("resnet20")
        val refusal = refused<LocalgradException.Budget>("budget", "least") {
            Trainer(network) { memoryBudget = 1.mebibytes }
        }
        assertTrue(refusal.leastBytes > 1.mebibytes)
        assertEquals(refusal.leastBytes, refused<LocalgradException.Budget> { network.plan(1.mebibytes) }.leastBytes)
        val plan = network.plan(refusal.leastBytes)
        assertTrue("$plan", plan.peakBytes <= refusal.leastBytes && plan.blocks >= 1)
        Trainer(network) { memoryBudget = refusal.leastBytes }.use { assertEquals(plan.blocks, it.info.blocks) }
    }

    @Test
    fun `wrong configurations are refused with a sentence`() {
        val network = Pictures.network()
        refused<LocalgradException.Config>("bogus") { Trainer(network) { rule = "bogus" } }
        refused<LocalgradException.Argument>("momentum", "NaN") { Trainer(network) { momentum = Double.NaN } }
        refused<LocalgradException.Argument>("batch", "-1") { Trainer(network) { batch = -1 } }
        refused<LocalgradException.Config>("batch") { Trainer(network) { batch = 0 } }
        refused<LocalgradException.Argument>("together") { Trainer(network) { mean = listOf(0f, 0f, 0f) } }
        refused<LocalgradException.Config>("train says") {
            Trainer(network) {
                train = Train.lastUnits(1)
                blocks = 3
            }
        }
        for (selection in listOf(Train.HEAD, Train.NORMS, Train.BIASES)) {
            Trainer(network) { train = selection }.use { assertEquals(if (selection === Train.HEAD) 1 else 4, it.info.blocks) }
        }
        val cut =
            Trainer(network) {
                train = Train.HEAD
                blocks = 2
            }
        cut.use { assertEquals(2, it.info.blocks) }
        refused<LocalgradException.Argument>("train at least 1") { Train.lastUnits(0) }
        refused<LocalgradException.Config>("bogus") { Network.create("bogus") }
        refused<LocalgradException.Format> { Network.fromJson("{}") }
        refused<LocalgradException.Argument>("pear") { network.replaceHead(listOf("pear", "apple", "pear")) }
        refused<LocalgradException.Argument> { network.replaceHead(-1) }
    }

    @Test
    fun `wrong samples are refused, and change nothing`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            refused<LocalgradException.Argument>("direct") { Samples(ByteBuffer.allocate(8), intArrayOf(0)) }
            refused<LocalgradException.Argument>("labels") { Samples.of(ByteArray(8), intArrayOf(0, 1), 1) }
            refused<LocalgradException.Argument>("label -1") { Samples.of(ByteArray(8), intArrayOf(-1)) }
            refused<LocalgradException.Shape>("images") { trainer.push(Samples.of(ByteArray(8), intArrayOf(0))) }
            refused<LocalgradException.Argument>("label 9") {
                trainer.push(Samples.of(ByteArray(Pictures.PIXELS), intArrayOf(9)))
            }
            refused<LocalgradException.Argument>("labels") {
                trainer.push(Samples.of(ByteArray(Pictures.PIXELS), intArrayOf(), 1))
            }
            refused<LocalgradException> {
                trainer.push(Samples.of(FloatArray(Pictures.PIXELS) { Float.NaN }, intArrayOf(0)))
            }
            refused<LocalgradException.Config>("room") { trainer.push(Pictures.samples(0, 17)) }
            assertEquals(0, trainer.info.pending)
            refused<LocalgradException.Config>("no samples") { trainer.train() }
            refused<LocalgradException.Config>("SizedSource") {
                trainer.source = Pictures.source()
                trainer.train(epochs = 1)
            }
        }
    }

    @Test
    fun `wrong files and states are refused, and change nothing`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("failure").toFile()
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            val before = trainer.state()
            refused<LocalgradException.Io>("missing") { trainer.loadWeights(File(directory, "missing")) }
            val noise = File(directory, "noise.safetensors").apply { writeBytes(ByteArray(100) { it.toByte() }) }
            refused<LocalgradException.Format>("noise") { trainer.loadWeights(noise) }
            refused<LocalgradException.Format> { trainer.restore(ByteArray(10)) }
            val damaged = before.copyOf().also { it[it.size / 2] = (it[it.size / 2] + 1).toByte() }
            refused<LocalgradException.Format> { trainer.restore(damaged) }
            refused<LocalgradException.Config>("checkpoints") { trainer.save() }
            assertTrue(before.contentEquals(trainer.state()))
        }
        directory.deleteRecursively()
    }
}
