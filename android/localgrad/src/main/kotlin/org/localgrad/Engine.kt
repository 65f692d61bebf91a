package org.localgrad

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Collections
import java.util.concurrent.Callable
import kotlin.math.exp

/** What is behind a [Trainer]: its handle, its thread and its events. It does not know the trainer itself. */
internal class Engine private constructor(
    private val handle: Long,
    network: Network,
    private val config: TrainerConfig,
    val isResumed: Boolean,
) {
    private val worker = Worker()
    private val classes = network.classes
    private val objective = network.objective

    /** The network's, or those of the checkpoint or the state that it went back to. */
    @Volatile
    var classNames: List<String> = Native.trainerClassNames(handle).toList()
        private set
    val events = Events(handle)

    @Volatile
    private var isClosed = false

    @Volatile
    var source: Source? = null

    @Volatile
    var workFraction: Double = 1.0

    @Volatile
    var threads: Int = config.threads

    /** How often weights were set by something else than training: features from before are of others then. */
    @Volatile
    var weightsSet = 0
        private set

    @Volatile
    var isPaused: Boolean = false

    fun handle(): Long = if (isClosed) throw Worker.closed() else handle

    /** Does [work] on the trainer's thread for [owner], which is not forgotten meanwhile. */
    suspend fun <T> run(owner: Any, work: () -> T): T {
        handle()
        AtWork.add(owner)
        try {
            return worker.run({ cancelQuietly() }, { finishing(work) }, { clearCancel() })
        } finally {
            AtWork.remove(owner)
        }
    }

    /** The same, and waits. */
    fun <T> await(owner: Any, work: () -> T): T {
        handle()
        AtWork.add(owner)
        try {
            return worker.await({ cancelQuietly() }, Callable { finishing(work) }, { clearCancel() })
        } finally {
            AtWork.remove(owner)
        }
    }

    fun cancel() {
        Native.cancel(handle())
    }

    private fun cancelQuietly() {
        try {
            Native.cancel(handle)
        } catch (_: LocalgradException.Closed) {
            // Which has cancelled it.
        }
    }

    private fun clearCancel() {
        try {
            Native.clearCancel(handle)
        } catch (_: LocalgradException.Closed) {
            // Nothing is left to be cancelled.
        }
    }

    /** Whatever [work] told is delivered before it returns, and a cancel that ended it ends no other call. */
    private fun <T> finishing(work: () -> T): T {
        handle()
        try {
            return work()
        } catch (cancelled: LocalgradException.Cancelled) {
            handle()
            clearCancel()
            throw cancelled
        } finally {
            events.drain()
        }
    }

    /** Whether [work] came to its end; a cancel that ended it ends no other call. */
    fun uncancelled(work: () -> Unit): Boolean = try {
        work()
        true
    } catch (_: LocalgradException.Cancelled) {
        handle()
        clearCancel()
        false
    }

    fun train(options: TrainOptions): TrainResult {
        val source = source
        val saves = config.checkpoints != null
        val numbers = longArrayOf(
            options.until.steps(source),
            options.deadlineMillis.coerceAtLeast(0),
            if (saves) config.checkpointSteps else 0,
            // With neither, one is still saved at the end.
            if (!saves) 0 else if (config.checkpointMillis > 0) config.checkpointMillis else Long.MAX_VALUE,
        )
        val watcher = options.watcher
        val found = Native.run(handle(), source, { step ->
            events.drain()
            watcher?.onStep(step) ?: true
        }, numbers)
        val reason = Reason.entries[found[0].toInt()]
        if (reason == Reason.CANCELLED) {
            handle()
            clearCancel()
        }
        return TrainResult(reason, found[1].toLong(), found[2].toLong(), found[3])
    }

    fun step(): Step {
        val found = Native.step(handle(), source)
        return Step(found[0].toLong(), found[1].toInt(), found[2].toInt(), found[3], found[4], found[5])
    }

    fun evaluate(samples: Samples): Evaluation = evaluation { metric ->
        Native.evaluate(handle(), samples.buffer, samples.header(), samples.labels, samples.rows(), metric)
    }

    fun evaluate(source: Source): Evaluation = evaluation { metric -> Native.evaluateSource(handle(), source, metric) }

    private fun evaluation(evaluate: (Array<String?>) -> DoubleArray): Evaluation {
        val metric = arrayOfNulls<String>(1)
        val found = evaluate(metric)
        return Evaluation(found[0].toLong(), found[1], found[2], metric[0].orEmpty(), found[3])
    }

    fun logits(samples: Samples): FloatArray = Native.predict(handle(), samples.buffer, samples.header())

    fun predict(samples: Samples): List<List<Prediction>> {
        if (objective.areValues) {
            throw LocalgradException.Config("the network answers with values, which are not likely or unlikely; use logits")
        }
        val logits = logits(samples)
        return (0 until samples.count).map { predictions(logits, it * classes) }
    }

    fun evaluateExits(samples: Samples): List<ExitEvaluation> {
        val found =
            Native.evaluateExits(handle(), samples.buffer, samples.header(), samples.labels, samples.rows())
        return found.asList().chunked(2) { (accuracy, temperature) -> ExitEvaluation(accuracy, temperature) }
    }

    fun predictEarly(samples: Samples, confidence: Double, exits: List<ExitEvaluation>): List<EarlyPrediction> {
        val temperatures = DoubleArray(exits.size) { exits[it].temperature }
        val left = IntArray(samples.count)
        val logits =
            Native.predictEarly(handle(), samples.buffer, samples.header(), confidence, temperatures, left)
        return left.mapIndexed { sample, exit ->
            val temperature = temperatures.getOrElse(exit) { 1.0 }
            EarlyPrediction(exit, predictions(logits, sample * classes, temperature))
        }
    }

    /** Classes or labels of one sample, the most likely first. */
    private fun predictions(logits: FloatArray, first: Int, temperature: Double = 1.0): List<Prediction> {
        val shares =
            if (objective == Objective.Labels) sigmoids(logits, first) else softmax(logits, first, temperature)
        val all = shares.indices.map { Prediction(it, classNames.getOrNull(it) ?: it.toString(), shares[it].toFloat()) }
        return all.sortedByDescending { it.probability }
    }

    private fun softmax(logits: FloatArray, first: Int, temperature: Double): DoubleArray {
        var largest = Float.NEGATIVE_INFINITY
        for (at in first until first + classes) largest = maxOf(largest, logits[at])
        val shares = DoubleArray(classes) { exp((logits[first + it] - largest) / temperature) }
        val sum = shares.sum()
        return DoubleArray(classes) { shares[it] / sum }
    }

    private fun sigmoids(logits: FloatArray, first: Int): DoubleArray =
        DoubleArray(classes) { 1 / (1 + exp(-logits[first + it].toDouble())) }

    fun featureCount(): Int = Math.toIntExact(Native.featureCount(handle()))

    fun features(samples: Samples): Samples {
        val bytes = Math.multiplyExact(samples.count, Math.multiplyExact(featureCount(), Float.SIZE_BYTES))
        val features = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
        Native.features(handle(), samples.buffer, samples.header(), features)
        return samples.withFeatures(features)
    }

    fun loadWeights(file: File, parts: Parts) {
        weightsSet++
        Native.loadWeights(handle(), file.path, parts.ordinal)
    }

    private fun shape(name: String, precision: Precision): Weight.Shape {
        val numbers = Native.weightShape(handle(), name)
        val extents = numbers.drop(2).map { it.toInt() }
        return Weight.Shape(name, numbers[0].toInt(), numbers[1] != 0L, extents, precision)
    }

    fun weights(precision: Precision, block: Int?): List<Weight> =
        Native.weightNames(handle()).map { shape(it, precision) }.filter { block == null || it.block == block }
            .map { Weight(it, Native.readWeight(handle(), it.name, precision.ordinal)) }

    fun setWeights(weights: List<Weight>) {
        val known = Native.weightNames(handle()).toSet()
        for (weight in weights) {
            if (weight.name !in known) throw LocalgradException.Argument("there is no weight \"${weight.name}\"")
            weight.check(shape(weight.name, weight.precision))
        }
        weightsSet++
        for (weight in weights) Native.writeWeight(handle(), weight.name, weight.precision.ordinal, weight.bytes)
    }

    fun restore(state: ByteArray) {
        weightsSet++
        Native.setState(handle(), state)
        classNames = Native.trainerClassNames(handle()).toList()
    }

    fun info(): TrainerInfo {
        val found = Native.trainerDescribe(handle())
        return TrainerInfo(
            blocks = found[0].toInt(),
            batch = found[1].toInt(),
            pending = found[2].toInt(),
            steps = found[3].toLong(),
            samples = found[4].toLong(),
            seconds = found[5],
            learningRate = found[6],
            stepIsOpen = found[7] != 0.0,
            blocksDone = found[8].toInt(),
            isDamaged = found[9] != 0.0,
        )
    }

    fun close() {
        isClosed = true
        Native.trainerDestroy(handle)
        worker.close()
        events.close()
    }

    /** Owners of engines at work. */
    private object AtWork {
        private val owners = Collections.synchronizedList(ArrayList<Any>())

        fun add(owner: Any) {
            owners.add(owner)
        }

        fun remove(owner: Any) {
            synchronized(owners) { owners.removeAt(owners.indexOfFirst { it === owner }) }
        }
    }

    companion object {
        /** A trainer's engine, gone back to its checkpoint if there is one. */
        fun make(network: Network, config: TrainerConfig): Engine {
            val handle = Native.trainerCreate(network.handle, config.json(network.units))
            try {
                val directory = config.checkpoints
                val isResumed =
                    directory != null && Native.openCheckpoints(handle, directory.path, config.keepCheckpoints)
                return Engine(handle, network, config, isResumed)
            } catch (failure: Throwable) {
                Native.trainerDestroy(handle)
                throw failure
            }
        }
    }
}
