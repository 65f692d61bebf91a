package org.localgrad

import java.io.File
import java.io.IOException
import java.io.InputStream

/** The way around a residual unit that changes the shape. */
public enum class Shortcut {
    /** A 1x1 convolution. */
    PROJECT,

    /** Every second row and column, with channels of zeros. */
    PAD,
}

/** What the name of a model leaves open: for CIFAR-10, if nothing else is said. */
public class NetworkOptions {
    /** Channels of an image; of no matter where samples are tokens. */
    public var channels: Int = 3

    /** Rows; of no matter where samples are tokens. */
    public var height: Int = 32

    /** Columns, or tokens of a sample. */
    public var width: Int = 32

    /** How many tokens there are to choose from, where samples are tokens; 0: they are images. */
    public var vocabulary: Int = 0

    /** Classes, or the labels or values that [objective] is. */
    public var classes: Int = 10

    /** What the network answers with, and the loss that it is trained by. */
    public var objective: Objective = Objective.Classes

    /** Widths of the stem and of each stage, where they are not the published ones. CIFAR ResNets only. */
    public var widths: List<Int>? = null

    /** The way around a residual unit that changes the shape. */
    public var shortcut: Shortcut = Shortcut.PROJECT

    internal fun json(): String {
        val json = Json()
        json.count("channels", channels.toLong())
        json.count("height", height.toLong())
        json.count("width", width.toLong())
        json.count("vocabulary", vocabulary.toLong())
        json.count("classes", classes.toLong())
        json.put("widths", widths)
        json.put("shortcut", shortcut.ordinal.toLong())
        json.put("huber_delta", objective.huberDelta)
        json.put("objective", objective.number.toLong())
        return json.toString()
    }
}

/**
 * A network as data, with the weights, normalisation and names of classes that its file gave it; its trainers begin with
 * those. It never changes, so any number of threads and trainers may use it at once. What it holds is freed when nobody can
 * reach it any more; [close] does that at once.
 */
public class Network private constructor(internal val handle: Long) : AutoCloseable {

    private val owned: Owned
    private val numbers: LongArray

    init {
        val handle = handle
        val free = { Native.networkDestroy(handle) }
        owned = Owned(this, "a Network", isMissed = false, free = free)
        numbers = Native.networkDescribe(handle)
    }

    /** Its name. */
    public val name: String = Native.networkName(handle)

    /** What it answers with, and the loss that it is trained by. */
    public val objective: Objective = Objective.of(numbers[8].toInt(), Native.networkHuberDelta(handle))

    /** Names of its classes; empty where they have none. */
    public val classNames: List<String> = Native.networkClassNames(handle).toList()

    /** Channels of an image; 1 of tokens. */
    public val channels: Int get() = numbers[0].toInt()

    /** Rows of an image; 1 of tokens. */
    public val height: Int get() = numbers[1].toInt()

    /** Columns of an image, or tokens of a sample. */
    public val width: Int get() = numbers[2].toInt()

    /** How many tokens there are to choose from, where samples are tokens, see [Samples.ofTokens]; 0: they are images. */
    public val vocabulary: Int get() = numbers[9].toInt()

    /** Classes, or the labels or values that its [objective] is. */
    public val classes: Int get() = numbers[3].toInt()

    /** Units: the places it can be cut at, plus 1. */
    public val units: Int get() = numbers[4].toInt()

    /** Trained numbers, auxiliary networks not counted. */
    public val parameters: Long get() = numbers[5]

    /** Whether it carries weights, which its trainers begin with. */
    public val hasWeights: Boolean get() = numbers[6] != 0L

    /** Whether it carries its normalisation, which its trainers use where their configuration says none. */
    public val hasNormalization: Boolean get() = numbers[7] != 0L

    /** Its description, which [fromJson] reads. */
    public fun toJson(): String = Native.networkToJson(handle)

    /** The same network with a new layer for other classes, to fine-tune it on other data; the rest keeps its weights. */
    public fun replaceHead(classes: List<String>): Network =
        Network(Native.networkReplaceHeadNamed(handle, names(classes)))

    /** The same network with a new layer for so many classes without names. */
    public fun replaceHead(classes: Int): Network = Network(Native.networkReplaceHead(handle, classes))

    /**
     * The same network with another objective, to fine-tune it on samples that come with other targets. Replace its head
     * afterwards: a network may answer with 1 value, but not with 1 class.
     */
    public fun replaceObjective(objective: Objective): Network =
        Network(Native.networkReplaceObjective(handle, objective.number, objective.huberDelta))

    /** The same network with names for its classes. */
    public fun nameClasses(classes: List<String>): Network = Network(Native.networkNameClasses(handle, names(classes)))

    private fun names(classes: List<String>): Array<String> {
        val twice = classes.groupingBy { it }.eachCount().entries.firstOrNull { it.value > 1 }
        if (twice != null) {
            throw LocalgradException.Argument("there are ${twice.value} ${objective.noun} called \"${twice.key}\"")
        }
        return classes.toTypedArray()
    }

    /** Channels, height and width of an image. */
    internal fun input(): LongArray = numbers.copyOf(3)

    /**
     * How a trainer of this network would train within [memoryBudget] bytes, such as `64.mebibytes`, without making one;
     * 0 is the budget that [config] says. [LocalgradException.Budget] tells the least that would do where nothing does.
     */
    @JvmOverloads
    public fun plan(memoryBudget: Long = 0, config: TrainerConfig = TrainerConfig()): Plan {
        val numbers = Native.plan(handle, config.json(units, memoryBudget))
        return Plan(
            peakBytes = numbers[0],
            ends = numbers.drop(5).map { it.toInt() },
            microBatch = numbers[1].toInt(),
            recompute = numbers[2] != 0L,
            activations = Precision.entries[numbers[3].toInt()],
            offload = numbers[4] != 0L,
        )
    }

    override fun close() {
        owned.close()
    }

    override fun toString(): String {
        val input = if (vocabulary == 0) "$channels x $height x $width" else "$width of $vocabulary tokens"
        return "Network($name, $input, $classes ${objective.noun})"
    }

    public companion object {
        /** The network called [model], one of [Localgrad.models]. */
        @JvmStatic
        @JvmOverloads
        public fun create(model: String, options: NetworkOptions = NetworkOptions()): Network =
            Network(Native.networkCreate(model, options.json()))

        /** The network called [model], with options set in [block]. */
        @JvmSynthetic
        public inline fun create(model: String, block: NetworkOptions.() -> Unit): Network =
            create(model, NetworkOptions().apply(block))

        /** A network from its description. */
        @JvmStatic
        public fun fromJson(json: String): Network = Network(Native.networkFromJson(json))

        /**
         * The network of a safetensors file that says what it is, such as [Trainer.export] writes, with its weights; one from
         * elsewhere is known by its tensors (torchvision's names, timm's or Hugging Face's, published widths).
         */
        @JvmStatic
        public fun load(file: File): Network = Network(Native.networkLoad(file.path))

        /** The same from a stream, such as `context.assets.open(name)`, which is read to its end and closed. */
        @JvmStatic
        public fun load(stream: InputStream): Network {
            val bytes = try {
                stream.use { it.readBytes() }
            } catch (failure: IOException) {
                throw LocalgradException.Io("the stream of weights cannot be read: ${failure.message}")
            }
            return Network(Native.networkFromBytes(bytes))
        }
    }
}
