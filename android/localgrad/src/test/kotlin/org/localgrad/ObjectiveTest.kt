package org.localgrad

import java.io.File
import java.nio.file.Files
import java.util.concurrent.CopyOnWriteArrayList
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Networks that answer with labels or with values. */
class ObjectiveTest {
    private val names = listOf("upper", "even")

    private fun network(objective: Objective): Network = Network.create("resnet8") {
        height = Pictures.SIDE
        width = Pictures.SIDE
        classes = 2
        widths = listOf(4, 4, 8, 8)
        this.objective = objective
    }

    /** Whether the bar of a class is in the upper half, and whether its number is even; or how far it is from the middle. */
    private fun targets(label: Int, objective: Objective): FloatArray = when (objective) {
        Objective.Labels -> floatArrayOf(if (label < 2) 1f else 0f, if (label % 2 == 0) 1f else 0f)
        else -> floatArrayOf(label - 1.5f, (1.5f - label) / 2)
    }

    private fun samples(first: Long, count: Int, objective: Objective): Samples {
        val plain = Pictures.samples(first, count)
        return Samples(plain.buffer, plain.labels.map { targets(it, objective) })
    }

    private fun source(objective: Objective) = Source { number -> samples(number * 16, 16, objective) }

    private fun config() = Pictures.config { learningRate = 0.03 }

    private inline fun <reified T : LocalgradException> refused(word: String, noinline work: suspend () -> Unit) {
        val failure = assertThrows(T::class.java) { runBlocking { work() } }
        assertTrue("${failure.message} does not say $word", failure.message!!.contains(word))
    }

    @Test
    fun `several labels are learnt, judged and predicted`() = runBlocking<Unit> {
        Trainer(network(Objective.Labels).nameClasses(names), config()).use { trainer ->
            val told = CopyOnWriteArrayList<Event>()
            trainer.addListener({ it.run() }, { told.add(it) })
            val held = samples(1_000_000, 64, Objective.Labels)
            val before = trainer.evaluate(held)
            trainer.source = source(Objective.Labels)
            trainer.train(Until.steps(120))
            val after = trainer.evaluate(held)
            assertTrue("$before, then $after", after.accuracy > 0.85 && after.loss < before.loss)
            assertEquals("label_accuracy", after.metricName)
            assertEquals(after.accuracy, after.metric, 0.0)
            assertEquals(after, (told.last { it is Event.Evaluated } as Event.Evaluated).evaluation)
            assertTrue(told.filterIsInstance<Event.StepDone>().all { it.accuracy in 0.0..1.0 })

            // Each label is as likely as its own logit says.
            val logits = trainer.logits(held)
            val found = trainer.predict(held)
            var right = 0
            for ((sample, predictions) in found.withIndex()) {
                assertEquals(predictions.sortedByDescending { it.probability }, predictions)
                for (label in predictions) {
                    assertEquals(names[label.index], label.name)
                    val isThere = logits[2 * sample + label.index] > 0
                    assertEquals(isThere, label.probability > 0.5f)
                    if (isThere == (held.targets[sample][label.index] == 1f)) right++
                }
            }
            assertEquals(after.accuracy, right / 128.0, 1e-9)
            var batches = 0L
            val again = trainer.evaluate(Source { if (batches++ == 0L) samples(1_000_000, 16, Objective.Labels) else null })
            assertEquals(16 to "label_accuracy", again.samples.toInt() to again.metricName)
        }
    }

    @Test
    fun `values are learnt and judged by their errors`() = runBlocking<Unit> {
        for (objective in listOf(Objective.Values, Objective.Huber(0.5))) {
            Trainer(network(objective), config()).use { trainer ->
                val held = samples(1_000_000, 64, objective)
                val before = trainer.evaluate(held)
                for (number in 0L until 120L) {
                    trainer.push(samples(16 * number, 16, objective))
                    assertEquals(0, trainer.step().correct)
                }
                val after = trainer.evaluate(held)
                assertTrue("$before, then $after", after.metric < 0.6 * before.metric && after.loss < before.loss)
                assertTrue(after.accuracy.isNaN())
                assertEquals("mean_absolute_error", after.metricName)
                val logits = trainer.logits(held)
                val errors = logits.indices.map { Math.abs(logits[it] - held.targets[it / 2][it % 2]).toDouble() }
                assertEquals(after.metric, errors.average(), 1e-5)
                refused<LocalgradException.Config>("use logits") { trainer.predict(held) }
            }
        }
    }

    @Test
    fun `a network that classifies takes shares of its classes`() = runBlocking<Unit> {
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            val plain = Pictures.samples(0, 8)
            val shares = plain.labels.map { label -> FloatArray(Pictures.CLASSES) { if (it == label) 1f else 0f } }
            val rows = Samples(plain.buffer, shares)
            trainer.push(plain)
            refused<LocalgradException.Config>("or all with targets") { trainer.push(rows) }
            trainer.discardPushed()
            val before = trainer.state()
            trainer.push(plain)
            val byLabels = trainer.step().loss
            trainer.restore(before)
            trainer.push(rows)
            // A share of 1 is a label.
            assertEquals(byLabels, trainer.step().loss, 1e-5)
            assertEquals("accuracy", trainer.evaluate(rows).metricName)
        }
    }

    @Test
    fun `targets and objectives that do not fit are refused, and change nothing`() = runBlocking<Unit> {
        val image = ByteArray(Pictures.PIXELS)
        for (objective in listOf(Objective.Labels, Objective.Values)) {
            Trainer(network(objective), config()).use { trainer ->
                refused<LocalgradException.Argument>("give targets") { trainer.push(Samples.of(image, intArrayOf(0))) }
                refused<LocalgradException.Argument>("give 2 a sample") {
                    trainer.push(Samples.of(image, listOf(floatArrayOf(1f, 0f, 1f))))
                }
                refused<LocalgradException.Argument>("sample 0") {
                    trainer.push(Samples.of(image, listOf(floatArrayOf(1f, Float.NaN))))
                }
                refused<LocalgradException.Argument>("give targets") { trainer.evaluate(Pictures.samples(0, 4)) }
                refused<LocalgradException.Argument>("give targets") {
                    trainer.source = Pictures.source()
                    trainer.train()
                }
                assertEquals(0, trainer.info.pending)
                assertEquals(0, trainer.info.steps)
            }
            refused<LocalgradException.Config>("compare the classes of samples") {
                Trainer(network(objective), Pictures.config { rule = "predsim" })
            }
            refused<LocalgradException.Config>("label smoothing") {
                Trainer(network(objective), Pictures.config { labelSmoothing = 0.1 })
            }
        }
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            refused<LocalgradException.Argument>("shares of classes") {
                trainer.push(Samples.of(image, listOf(FloatArray(Pictures.CLASSES) { 1f })))
            }
        }
        refused<LocalgradException.Argument>("sample 1 has 1 targets") {
            Samples.of(ByteArray(2 * Pictures.PIXELS), listOf(floatArrayOf(1f, 0f), floatArrayOf(1f)))
        }
        refused<LocalgradException.Config>("delta") { network(Objective.Huber(0.0)) }
        refused<LocalgradException.Argument>("huber_delta") { network(Objective.Huber(Double.NaN)) }
    }

    @Test
    fun `networks keep their objective`() = runBlocking<Unit> {
        val file = File.createTempFile("objective", ".safetensors")
        for (objective in listOf(Objective.Classes, Objective.Labels, Objective.Values, Objective.Huber(0.25))) {
            val network = network(objective)
            assertEquals(objective, network.objective)
            assertEquals(objective, Network.fromJson(network.toJson()).objective)
            Trainer(network, config()).use { it.export(file) }
            assertEquals(objective, Network.load(file).objective)
        }
        val single = Network.load(file).replaceObjective(Objective.Values).replaceHead(listOf("age"))
        assertEquals(listOf("age"), single.classNames)
        assertTrue("$single", single.hasWeights && single.toString().contains("1 values"))
        refused<LocalgradException.Config>("2 classes") { single.replaceObjective(Objective.Classes) }
        file.delete()
    }

    @Test
    fun `a personalizer learns labels of its user's own`() = runBlocking<Unit> {
        val directory = Files.createTempDirectory("labels").toFile()
        val file = File(directory, "base.safetensors")
        Trainer(Pictures.network(), Pictures.config()).use { trainer ->
            trainer.source = Pictures.source()
            trainer.train(Until.steps(60))
            trainer.export(file)
        }
        val base = Network.load(file)
        val place = File(directory, "own")
        val options = PersonalizerOptions().apply {
            lastUnits = 2
            epochs = 60
            learningRate = 0.05
            threads = 1
            mirror = false
        }
        fun open() = Personalizer(place, base.replaceObjective(Objective.Labels), names, options)
        fun labels(label: Int) = names.filterIndexed { at, _ -> targets(label, Objective.Labels)[at] == 1f }.toSet()
        open().use { personalizer ->
            for (number in 0L until 32L) {
                val (image, label) = Pictures.image(number)
                personalizer.add(image, labels(label))
            }
            refused<LocalgradException.Argument>("\"odd\"") { personalizer.add(Pictures.image(0).first, "odd") }
            assertEquals(mapOf("upper" to 16, "even" to 16), personalizer.counts)
        }
        open().use { personalizer ->
            assertEquals(mapOf("upper" to 16, "even" to 16), personalizer.counts)
            assertEquals(Reason.DONE, personalizer.train().reason)
            val found = personalizer.trainer.evaluate(samples(1_000_000, 64, Objective.Labels))
            assertTrue("$found", found.metricName == "label_accuracy" && found.metric > 0.75)
        }
        // The same directory is of no use for classes, nor are values for a person's examples.
        refused<LocalgradException.Config>("examples of other classes") { Personalizer(place, base, names, options) }
        refused<LocalgradException.Config>("use a Trainer") {
            Personalizer(File(directory, "other"), base.replaceObjective(Objective.Values), names, options)
        }
        refused<LocalgradException.Config>("at most 30 labels") {
            val many = List(31) { "label $it" }
            Personalizer(File(directory, "other"), base.replaceObjective(Objective.Labels), many, options)
        }
        Personalizer(File(directory, "other"), base, names, options).use { personalizer ->
            refused<LocalgradException.Argument>("of one class") {
                personalizer.add(Pictures.image(0).first, names.toSet())
            }
        }
        directory.deleteRecursively()
    }

    @Test
    fun `frames come with targets, and floats`() = runBlocking<Unit> {
        val target = floatArrayOf(0.5f, -1f)
        fun trained(push: (Trainer) -> Unit): Pair<Double, ByteArray> =
            Trainer(network(Objective.Values), config()).use { trainer ->
                push(trainer)
                trainer.blocking.step().loss to Pictures.bytes(trainer)
            }
        val plain = Pictures.samples(3, 1)
        val (loss, bytes) = trained { it.push(Samples(plain.buffer, listOf(target))) }
        val frame = Frame(plain.buffer, Pictures.SIDE, Pictures.SIDE, FrameFormat.RGB)
        val (ofFrame, frameBytes) = trained { it.push(frame, target) }
        val floats = FloatArray(Pictures.PIXELS) { (plain.buffer.get(it).toInt() and 255) / 255f }
        val (ofFloats, floatBytes) = trained { it.push(Samples.of(floats, listOf(target))) }
        assertEquals(listOf(loss, loss), listOf(ofFrame, ofFloats))
        assertArrayEquals(bytes, frameBytes)
        assertArrayEquals(bytes, floatBytes)
    }
}
