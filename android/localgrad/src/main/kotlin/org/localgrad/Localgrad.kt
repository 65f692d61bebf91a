package org.localgrad

/** How much a message matters. */
public enum class LogLevel {
    /** What went wrong. */
    ERROR,

    /** What went wrong although the call went on. */
    WARN,

    /** What is worth knowing. */
    INFO,

    /** For finding mistakes. */
    DEBUG,
}

/** Takes messages of the library. */
public fun interface LogSink {
    /** Called on any thread, also on several at once. What it throws is lost. */
    public fun onMessage(level: LogLevel, message: String)
}

/**
 * A device that this build knows.
 *
 * @property name what [TrainerConfig.device] takes.
 * @property isAvailable whether it can be used.
 * @property description what it is, or why it cannot be used.
 */
public data class Device(public val name: String, public val isAvailable: Boolean, public val description: String)

/** What is true of the library as a whole. */
public object Localgrad {
    @Volatile
    private var sink: LogSink? = null

    /** The version of the library, such as "0.1.0". */
    @JvmStatic
    public val version: String get() = Native.version()

    /**
     * How the native side was built and what it found, and what it was built without, such as
     * "aarch64-android cpu pooled-memory simd=Neon release; without cuda, metal".
     */
    @JvmStatic
    public val buildOptions: String get() = Native.buildOptions()

    /** The models that [Network.create] knows by name. */
    @JvmStatic
    public val models: List<String> get() = Native.models().toList()

    /** The devices that this build knows. */
    @JvmStatic
    public val devices: List<Device>
        get() = Native.devices().toList().chunked(3).map { (name, usable, what) -> Device(name, usable == "1", what) }

    /** Bytes of memory that the native side has in use, of all trainers together. */
    @JvmStatic
    public val liveBytes: Long get() = Native.memory()[0]

    /** The most bytes that were in use at one time, since the start or [resetPeak]. */
    @JvmStatic
    public val peakBytes: Long get() = Native.memory()[1]

    /** Lets [peakBytes] begin again at what is in use. */
    @JvmStatic
    public fun resetPeak() {
        Native.resetPeak()
    }

    /** Sends messages of [level] and more important ones to [sink]; null, which is how the app starts, nowhere. */
    @JvmStatic
    @JvmOverloads
    public fun setLog(sink: LogSink?, level: LogLevel = LogLevel.WARN) {
        Native.setLog(sink, level.ordinal + 1)
        this.sink = sink
    }

    /** Whether anybody listens to messages. */
    internal val isLogged: Boolean get() = sink != null

    /** Says something on the Kotlin side. */
    internal fun warn(message: String) {
        sink?.onMessage(LogLevel.WARN, message)
    }
}
