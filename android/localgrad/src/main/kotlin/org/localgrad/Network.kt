package org.localgrad

/** The way around a residual unit that changes the shape. */
public enum class Shortcut {
    /** A 1x1 convolution. */
    PROJECT,

    /** Every second row and column, with channels of zeros. */
    PAD,
}

/** What the name of a model leaves open: for CIFAR-10, if nothing else is said. */
public class NetworkOptions {
    /** Channels of an image. */
    public var channels: Int = 3

    /** Rows. */
    public var height: Int = 32

    /** Columns. */
    public var width: Int = 32

    /** Classes. */
    public var classes: Int = 10

    /** Widths of the stem and of each stage, where they are not the published ones. CIFAR ResNets only. */
    public var widths: List<Int>? = null

    /** The way around a residual unit that changes the shape. */
    public var shortcut: Shortcut = Shortcut.PROJECT

    internal fun json(): String {
        val json = Json()
        json.count("channels", channels.toLong())
        json.count("height", height.toLong())
        json.count("width", width.toLong())
        json.count("classes", classes.toLong())
        json.put("widths", widths)
        json.put("shortcut", shortcut.ordinal.toLong())
        return json.toString()
    }
}

/**
 * A network as data. It never changes, so any number of threads and trainers may use it at once. What it holds is freed
 * when nobody can reach it any more; [close] does that at once.
 *
 * @property classNames names of the classes; empty where they have none.
 */
public class Network private constructor(handle: Long, public val classNames: List<String>) : AutoCloseable {
    internal val handle: Long = handle

    private val owned: Owned
    private val numbers: LongArray

    init {
        val free = { Native.networkDestroy(handle) }
        owned = Owned(this, "a Network", isMissed = false, free = free)
        numbers = Native.networkDescribe(handle)
    }

    /** Its name. */
    public val name: String = Native.networkName(handle)

    /** Channels of an image. */
    public val channels: Int get() = numbers[0].toInt()

    /** Rows of an image. */
    public val height: Int get() = numbers[1].toInt()

    /** Columns of an image. */
    public val width: Int get() = numbers[2].toInt()

    /** Classes. */
    public val classes: Int get() = numbers[3].toInt()

    /** Units: the places it can be cut at, plus 1. */
    public val units: Int get() = numbers[4].toInt()

    /** Trained numbers, auxiliary networks not counted. */
    public val parameters: Long get() = numbers[5]

    /** Its description, which [fromJson] reads. */
    public fun toJson(): String = Native.networkToJson(handle)

    /** The same network with a new head for other classes, to fine-tune it on other data. */
    public fun replaceHead(classes: List<String>): Network {
        val twice = classes.groupingBy { it }.eachCount().entries.firstOrNull { it.value > 1 }
        if (twice != null) throw LocalgradException.Argument("there are ${twice.value} classes called \"${twice.key}\"")
        return Network(Native.networkReplaceHead(handle, classes.size), classes.toList())
    }

    /** The same network with a new head for so many classes without names. */
    public fun replaceHead(classes: Int): Network = Network(Native.networkReplaceHead(handle, classes), emptyList())

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

    /** The name of a class; its number where it has none. */
    internal fun className(index: Int): String = classNames.getOrNull(index) ?: index.toString()

    override fun close() {
        owned.close()
    }

    override fun toString(): String = "Network($name, $channels x $height x $width, $classes classes)"

    public companion object {
        /** The network called [model], one of [Localgrad.models]. */
        @JvmStatic
        @JvmOverloads
        public fun create(model: String, options: NetworkOptions = NetworkOptions()): Network =
            Network(Native.networkCreate(model, options.json()), emptyList())

        /** The network called [model], with options set in [block]. */
        @JvmSynthetic
        public inline fun create(model: String, block: NetworkOptions.() -> Unit): Network =
            create(model, NetworkOptions().apply(block))

        /** A network from its description. */
        @JvmStatic
        public fun fromJson(json: String): Network = Network(Native.networkFromJson(json), emptyList())
    }
}
