package org.localgrad

import java.io.File
import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow

/** How a [Personalizer] learns. Each field begins with its default. */
public class PersonalizerOptions {
    /** Units of the network that learn, with the head, from the end; the rest stays as it is. */
    public var lastUnits: Int = 1

    /** How many times every example is seen. */
    public var epochs: Int = 20

    /** Examples in a step. */
    public var batch: Int = 16

    /** Learning rate. */
    public var learningRate: Double = 0.02

    /** Whether examples are mirrored now and then, as photos may be and letters may not. */
    public var mirror: Boolean = true

    /** The most bytes of memory that it may have in use, such as `64.mebibytes`; 0 is any. */
    public var memoryBudget: Long = 0

    /** Worker threads; 0 is one a core. */
    public var threads: Int = 0

    /** Seed of the new head and of the order of the examples. */
    public var seed: Long = 0

    /**
     * The most bytes, beside [memoryBudget], for what the part of the network that stays as it is makes of examples: each is
     * passed once for every way in which it is shown, and not in every epoch. That changes no result, but for last digits where
     * a step has fewer examples than [batch]. Where all of them would take more, or this is 0, nothing is kept.
     */
    public var featureMemory: Long = 64.mebibytes
}

/** The network with a head for what it is to learn. */
private fun withHead(base: Network, classes: List<String>): Network {
    if (base.vocabulary != 0) {
        throw LocalgradException.Config("a personalizer keeps images, and ${base.name} takes tokens; use a Trainer")
    }
    if (base.objective.areValues) {
        throw LocalgradException.Config(
            "a personalizer learns classes or labels, and ${base.name} answers with values; use a Trainer",
        )
    }
    if (base.objective == Objective.Labels && classes.size > Examples.MOST_LABELS) {
        throw LocalgradException.Config(
            "a personalizer keeps at most ${Examples.MOST_LABELS} labels, found ${classes.size}; use a Trainer",
        )
    }
    return base.replaceHead(classes)
}

/**
 * Teaches a network classes of the user's own from a few examples of each, and keeps all it needs in a directory: the
 * examples, scaled to what the network takes, and checkpoints. Made again over the same directory, after a kill or a day,
 * it goes on where it was. Nothing leaves the device; give it a directory that is not backed up, such as
 * `File(context.noBackupFilesDir, "fruit")`.
 *
 *     Personalizer(directory, Network.load(file), listOf("apple", "pear")).use { personalizer ->
 *         personalizer.add(frame, "pear")
 *         personalizer.train(deadline = 25.seconds)
 *         personalizer.predict(frame).first().name
 *     }
 *
 * @param directory is made where there is none; one personalizer at a time uses it.
 * Of a network whose [Objective] is labels, such as [Network.replaceObjective] makes, an example has any number of them.
 *
 * @param base a network with weights, such as [Network.load] gives.
 * @param classes names of the classes, or of the labels, which do not change in a directory.
 */
public class Personalizer @JvmOverloads constructor(
    directory: File,
    base: Network,
    classes: List<String>,
    private val options: PersonalizerOptions = PersonalizerOptions(),
) : AutoCloseable {
    private val network = withHead(base, classes)
    private val input = network.input()
    private val hasLabels = network.objective == Objective.Labels
    private val examples = Examples(directory, classes, input, hasLabels)

    /** What trains; its events, [Trainer.pause] and [Trainer.workFraction] are of use here, too. */
    public val trainer: Trainer = try {
        Trainer(network, config(directory))
    } catch (failure: Throwable) {
        examples.close()
        throw failure
    }

    private val engine = trainer.engine
    private val kept = KeptFeatures(engine, options)

    /**
     * How many showings of examples have passed the part of the network that stays as it is, so that what it made of them is
     * kept, since this personalizer was made. See [PersonalizerOptions.featureMemory].
     */
    public val passes: Long get() = kept.passes

    private fun config(directory: File): TrainerConfig = TrainerConfig().apply {
        train = Train.lastUnits(options.lastUnits)
        batch = options.batch
        learningRate = options.learningRate
        memoryBudget = options.memoryBudget
        threads = options.threads
        seed = options.seed
        checkpoints = File(directory, "checkpoints")
    }

    /** Names of the classes, or of the labels. */
    public val classes: List<String> get() = network.classNames

    /** How many examples there are of each class, or have each label. */
    public val counts: Map<String, Int>
        get() {
            val counts = examples.counts()
            return classes.withIndex().associate { (index, name) -> name to counts[index] }
        }

    /** Everything that happens while it learns. */
    public val events: Flow<Event> get() = trainer.events

    /** Keeps a frame as an example of a class; it is on disk when this returns. Any thread, at any time. */
    public fun add(frame: Frame, className: String) {
        add(frame, setOf(className))
    }

    /** The same of a frame that has these labels and no others. */
    public fun add(frame: Frame, labels: Set<String>) {
        val answer = answer(labels)
        examples.add(frame.image(input), answer)
    }

    /** The same for images of the network's own size: bytes, rows of pixels of channels. */
    public fun add(image: ByteArray, className: String) {
        add(image, setOf(className))
    }

    /** The same of an image that has these labels and no others. */
    public fun add(image: ByteArray, labels: Set<String>) {
        if (image.size.toLong() != input.fold(1L, Long::times)) {
            throw LocalgradException.Shape("an image of ${image.size} bytes is not of ${input.joinToString(" x ")}")
        }
        examples.add(image, answer(labels))
    }

    /** Of a class its number, of labels a bit for each. */
    private fun answer(names: Set<String>): Int {
        if (hasLabels) return names.fold(0) { bits, name -> bits or (1 shl index(name)) }
        val name = names.singleOrNull() ?: throw LocalgradException.Argument(
            "an example is of one class, found ${names.size}; a network whose objective is labels takes any number",
        )
        return index(name)
    }

    private fun index(className: String): Int {
        val index = classes.indexOf(className)
        if (index < 0) throw LocalgradException.Argument("there is no \"$className\"; there are $classes")
        return index
    }

    /**
     * Learns until every example was seen as often as [PersonalizerOptions.epochs] says, or [deadline] is over, in this
     * call or in several. Examples that were added since are seen as often, too.
     */
    public suspend fun train(deadline: Duration = Duration.INFINITE, watcher: Watcher? = null): TrainResult {
        val millis = if (deadline.isInfinite()) 0 else deadline.inWholeMilliseconds.coerceAtLeast(1)
        return engine.run(trainer) { learn(millis, watcher) }
    }

    /** As [train], for Java and for threads that may wait. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun trainBlocking(deadlineMillis: Long = 0): TrainResult = engine.await(trainer) { learn(deadlineMillis, null) }

    private fun source(): ExampleSource {
        val all = examples.snapshot()
        if (all.isEmpty()) throw LocalgradException.Config("there are no examples; add some first")
        return ExampleSource(all, input, options, if (hasLabels) classes.size else 0, kept)
    }

    /**
     * Trains to the end or to the deadline. As long as examples have features to be kept, those of a few steps at a time pass
     * before these steps, so that a short slice trains, too.
     */
    private fun learn(deadlineMillis: Long, watcher: Watcher?): TrainResult {
        val source = source()
        engine.source = source
        val began = System.nanoTime()
        // At least one: 0 is no deadline.
        val left = { maxOf(1L, deadlineMillis - (System.nanoTime() - began) / 1_000_000) }
        val isLate = { deadlineMillis > 0 && left() == 1L }
        var result = TrainResult(Reason.DONE, engine.info().steps, 0, Double.NaN)
        while (true) {
            var until = Long.MAX_VALUE
            val hasPassed = engine.uncancelled { until = keepAhead(source, result.steps, isLate) }
            if (!hasPassed) return result.copy(reason = Reason.CANCELLED)
            var isStopped = false
            val slice = TrainOptions()
            slice.until = Until.epochs(options.epochs)
            slice.deadlineMillis = if (deadlineMillis > 0) left() else 0
            slice.watcher = Watcher { step ->
                isStopped = watcher?.onStep(step) == false
                !isStopped && step.number < until
            }
            val found = engine.train(slice)
            val loss = if (found.newSteps > 0) found.loss else result.loss
            result = TrainResult(found.reason, found.steps, result.newSteps + found.newSteps, loss)
            if (result.reason != Reason.STOPPED || isStopped) return result
            if (isLate()) return result.copy(reason = Reason.DEADLINE)
        }
    }

    /** Keeps features of the next steps until it [isLate], of one at least; how many steps are done when more are to pass. */
    private fun keepAhead(source: ExampleSource, steps: Long, isLate: () -> Boolean): Long {
        val last = options.epochs * ((source.size - 1L) / source.batch + 1)
        if (!source.keepsFeatures || engine.isPaused) return Long.MAX_VALUE
        var next = steps
        while (next < minOf(steps + STEPS_AHEAD, last) && !kept.areOfAll(source.size)) {
            kept.keep(source.showings(next).map { it.example }, source)
            next++
            if (isLate()) break
        }
        return if (next >= last || kept.areOfAll(source.size)) Long.MAX_VALUE else next
    }

    /** How good it is on its own examples, as they were added; what it should know best. */
    public suspend fun evaluate(): Evaluation = engine.run(trainer) {
        val source = source()
        if (source.keepsFeatures) kept.keep((0 until source.size).toList(), source)
        engine.evaluate(Source { source.inOrder(it) })
    }

    /** What it thinks of a frame: all classes or labels, the most likely first. */
    public suspend fun predict(frame: Frame): List<Prediction> = trainer.predict(frame)

    /** What it thinks of images of the network's own size. */
    public suspend fun predict(samples: Samples): List<List<Prediction>> = trainer.predict(samples)

    /** Writes what was learnt as a network of its own, names of classes included, which [Network.load] takes. */
    public suspend fun export(file: File): Unit = trainer.export(file)

    override fun close() {
        trainer.close()
        examples.close()
        network.close()
    }

    private companion object {
        /** Steps whose examples pass before the first of them trains. */
        const val STEPS_AHEAD = 8
    }
}
