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
}

/** The network with a head for what it is to learn. */
private fun withHead(base: Network, classes: List<String>): Network {
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
        trainer.source = source()
        return trainer.train(options.epochs, deadline, watcher)
    }

    /** As [train], for Java and for threads that may wait. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun trainBlocking(deadlineMillis: Long = 0): TrainResult {
        trainer.source = source()
        val train = TrainOptions()
        train.until = Until.epochs(options.epochs)
        train.deadlineMillis = deadlineMillis
        return trainer.blocking.train(train)
    }

    private fun source(): SizedSource {
        val all = examples.snapshot()
        if (all.isEmpty()) throw LocalgradException.Config("there are no examples; add some first")
        return ExampleSource(all, input, options, if (hasLabels) classes.size else 0)
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
}
