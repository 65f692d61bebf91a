package org.localgrad

import java.nio.ByteBuffer

/**
 * The native side: functions of the crate `localgrad-jni`, which registers each of them by name and type when the library
 * is loaded. Handles are numbers that are looked up, so that a stale one is an exception. Failures are thrown as
 * [LocalgradException].
 */
internal object Native {
    init {
        try {
            System.loadLibrary("localgrad_jni")
        } catch (missing: UnsatisfiedLinkError) {
            val architecture = System.getProperty("os.arch")
            throw UnsatisfiedLinkError(
                "liblocalgrad_jni is not in this app for the processor $architecture; the archive has it for arm64-v8a, " +
                    "armeabi-v7a and x86_64 (${missing.message})",
            )
        }
    }

    @JvmStatic external fun version(): String
    @JvmStatic external fun buildOptions(): String
    @JvmStatic external fun models(): Array<String>

    /** Name, whether it can be used, and description of each device. */
    @JvmStatic external fun devices(): Array<String>

    /** Bytes in use, and the most that were. */
    @JvmStatic external fun memory(): LongArray
    @JvmStatic external fun resetPeak()
    @JvmStatic external fun setLog(sink: LogSink?, level: Int)

    @JvmStatic external fun networkCreate(model: String, options: String): Long
    @JvmStatic external fun networkFromJson(json: String): Long
    @JvmStatic external fun networkToJson(network: Long): String

    /**
     * Channels, height, width, classes, units, parameters, whether it carries weights, and normalisation, objective,
     * vocabulary.
     */
    @JvmStatic external fun networkDescribe(network: Long): LongArray
    @JvmStatic external fun networkHuberDelta(network: Long): Double
    @JvmStatic external fun networkName(network: Long): String
    @JvmStatic external fun networkReplaceHead(network: Long, classes: Int): Long
    @JvmStatic external fun networkReplaceHeadNamed(network: Long, classes: Array<String>): Long
    @JvmStatic external fun networkReplaceObjective(network: Long, objective: Int, huberDelta: Double): Long
    @JvmStatic external fun networkNameClasses(network: Long, classes: Array<String>): Long
    @JvmStatic external fun networkClassNames(network: Long): Array<String>
    @JvmStatic external fun networkLoad(path: String): Long
    @JvmStatic external fun networkFromBytes(file: ByteArray): Long
    @JvmStatic external fun networkDestroy(network: Long)

    /** Peak bytes, micro-batch, recompute, activations, offload, and the last unit of each block. */
    @JvmStatic external fun plan(network: Long, config: String): LongArray

    @JvmStatic external fun trainerCreate(network: Long, config: String): Long
    @JvmStatic external fun trainerDestroy(trainer: Long)

    /** Blocks, batch, pending, steps, samples, seconds, learning rate, whether a step is open, its blocks, damaged. */
    @JvmStatic external fun trainerDescribe(trainer: Long): DoubleArray
    @JvmStatic external fun trainerLosses(trainer: Long): DoubleArray
    @JvmStatic external fun trainerClassNames(trainer: Long): Array<String>

    /**
     * What a frame looks like to a network that takes images of channels, height, width in [input]. [numbers] are place,
     * bytes, width, height, bytes of a row, format, rotation, fit.
     */
    @JvmStatic
    external fun prepareFrame(input: LongArray, pixels: ByteBuffer, numbers: LongArray): ByteArray

    @JvmStatic
    external fun push(trainer: Long, images: ByteBuffer, header: LongArray, labels: IntArray, targets: FloatArray)
    @JvmStatic external fun discardPushed(trainer: Long)

    /** Number, samples, correct, loss, learning rate, seconds. */
    @JvmStatic external fun step(trainer: Long, source: Source?): DoubleArray

    /** Takes step, milliseconds, checkpoint steps and milliseconds; gives reason, steps, new steps, loss. */
    @JvmStatic external fun run(trainer: Long, source: Source?, watch: Watch?, options: LongArray): DoubleArray

    /** Samples, accuracy, loss, and what it is judged by, the name of which goes into [metric]. */
    @JvmStatic
    @Suppress("LongParameterList") // what is lent crosses without an object
    external fun evaluate(
        trainer: Long,
        images: ByteBuffer,
        header: LongArray,
        labels: IntArray,
        targets: FloatArray,
        metric: Array<String?>,
    ): DoubleArray
    @JvmStatic external fun evaluateSource(trainer: Long, source: Source, metric: Array<String?>): DoubleArray
    @JvmStatic external fun predict(trainer: Long, images: ByteBuffer, header: LongArray): FloatArray

    /** Accuracy and temperature of each exit in turn. */
    @JvmStatic
    external fun evaluateExits(
        trainer: Long,
        images: ByteBuffer,
        header: LongArray,
        labels: IntArray,
        targets: FloatArray,
    ): DoubleArray

    /** The logits of the exit that each sample left by, whose number goes into [exits]. */
    @JvmStatic
    @Suppress("LongParameterList") // what is lent crosses without an object
    external fun predictEarly(
        trainer: Long,
        images: ByteBuffer,
        header: LongArray,
        confidence: Double,
        temperatures: DoubleArray,
        exits: IntArray,
    ): FloatArray

    /** Numbers of a sample's features, and these, written into all of a direct buffer. */
    @JvmStatic external fun featureCount(trainer: Long): Long
    @JvmStatic external fun features(trainer: Long, images: ByteBuffer, header: LongArray, features: ByteBuffer)

    @JvmStatic external fun pause(trainer: Long, reason: Int)
    @JvmStatic external fun resume(trainer: Long)
    @JvmStatic external fun cancel(trainer: Long)
    @JvmStatic external fun clearCancel(trainer: Long)
    @JvmStatic external fun setWorkFraction(trainer: Long, fraction: Double, reason: Int)
    @JvmStatic external fun setThreads(trainer: Long, threads: Int)
    @JvmStatic external fun set(trainer: Long, setting: Int, value: Double)
    @JvmStatic external fun get(trainer: Long, setting: Int): Double

    /**
     * Takes the oldest event: kind, block, step, samples, loss, accuracy, seconds, progress, peak bytes, reason of a
     * pause, share of work, metric into [numbers], and what it says into [text]. False where none waits.
     */
    @JvmStatic external fun poll(trainer: Long, numbers: DoubleArray, text: Array<String?>): Boolean
    @JvmStatic external fun droppedEvents(trainer: Long): Long

    /** Whether there was a checkpoint to go back to. */
    @JvmStatic external fun openCheckpoints(trainer: Long, directory: String, keep: Int): Boolean
    @JvmStatic external fun save(trainer: Long)
    @JvmStatic external fun state(trainer: Long): ByteArray
    @JvmStatic external fun setState(trainer: Long, state: ByteArray)
    @JvmStatic external fun loadWeights(trainer: Long, path: String, parts: Int)
    @JvmStatic external fun weightNames(trainer: Long): Array<String>

    /** Block, whether it is a statistic, and extents. */
    @JvmStatic external fun weightShape(trainer: Long, name: String): LongArray
    @JvmStatic external fun readWeight(trainer: Long, name: String, precision: Int): ByteArray
    @JvmStatic external fun writeWeight(trainer: Long, name: String, precision: Int, bytes: ByteArray)
    @JvmStatic external fun export(trainer: Long, path: String, precision: Int)

    /** Called from the native side: what [source] gives, as its buffer, header, labels and targets. */
    @JvmStatic
    fun ask(source: Source, number: Long): Array<Any>? {
        val samples = source.samples(number) ?: return null
        return arrayOf(samples.buffer, samples.header(), samples.labels, samples.rows())
    }

    /** Called from the native side: a step is done. */
    @JvmStatic
    @Suppress("LongParameterList") // numbers cross without an object
    fun tell(
        watch: Watch,
        number: Long,
        samples: Int,
        correct: Int,
        loss: Double,
        learningRate: Double,
        seconds: Double,
    ): Boolean = watch.onStep(Step(number, samples, correct, loss, learningRate, seconds))

    /** Called from the native side, on any thread. */
    @JvmStatic
    fun log(sink: LogSink, level: Int, message: String) {
        val levels = LogLevel.entries
        sink.onMessage(levels[(level - 1).coerceIn(levels.indices)], message)
    }

    /** Called from the native side: the exception for a failure. */
    @JvmStatic
    fun failure(status: Int, message: String, leastBytes: Long): Throwable =
        LocalgradException.of(status, message, leastBytes)
}

/** What a call that trains does after each step. */
internal fun interface Watch {
    fun onStep(step: Step): Boolean
}
