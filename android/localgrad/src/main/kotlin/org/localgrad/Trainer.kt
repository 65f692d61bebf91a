package org.localgrad

import android.graphics.Bitmap
import java.io.File
import java.util.concurrent.Executor
import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow

/**
 * A network in training.
 *
 * Calls that compute suspend: they run on a thread of the trainer's own, at background priority, one after the other,
 * and cancelling the coroutine ends them between two blocks. [blocking] has the same for Java and for threads that may
 * wait. [pause], [resume], [cancel], [workFraction] and [threads] may be used on any thread at any time. [close] it, by
 * `use`: one that is forgotten is closed by the garbage collector, sooner or later, and told of by [Localgrad.setLog].
 *
 * @property network the network that it was made of; it may be closed.
 */
public class Trainer @JvmOverloads constructor(
    public val network: Network,
    config: TrainerConfig = TrainerConfig(),
) : AutoCloseable {
    internal val engine: Engine = Engine.make(network, config)
    private val owned = Owned(this, "a Trainer of ${network.name}", isMissed = true, free = engine::close)

    /** The same calls for threads that may wait, and for Java. */
    public val blocking: BlockingTrainer = BlockingTrainer(this, engine)

    /** A trainer with a configuration that is set in [configure]. */
    public constructor(network: Network, configure: TrainerConfig.() -> Unit) :
        this(network, TrainerConfig().apply(configure))

    /** Whether it went on from a checkpoint when it was made. */
    public val isResumed: Boolean get() = engine.isResumed

    /**
     * Names of the classes: the network's or, where that has none, those of the checkpoint or state that it went back to;
     * empty where nobody named them.
     */
    public val classNames: List<String> get() = engine.classNames

    /** Gives samples where none were pushed. A call that is at work goes on with the one it began with. */
    public var source: Source?
        get() = engine.source
        set(value) {
            engine.source = value
        }

    /** Every event from the start of a collection on; it ends when the trainer is closed. */
    public val events: Flow<Event> get() = engine.events.flow

    /** Events that were dropped so far, because nobody took them. */
    public val droppedEvents: Long get() = Native.droppedEvents(engine.handle())

    /** Tells [listener] of every event, on [executor], until it is removed or the trainer is closed. */
    public fun addListener(executor: Executor, listener: EventListener) {
        engine.events.addListener(executor, listener)
    }

    /** Tells [listener] no more. */
    public fun removeListener(listener: EventListener) {
        engine.events.removeListener(listener)
    }

    /**
     * Trains until [until] says so, [deadline] is over, [watcher] stops it or there are no more samples. No step is
     * begun that is likely to end after the deadline, but for the first.
     */
    public suspend fun train(
        until: Until = Until.DATA_ENDS,
        deadline: Duration = Duration.INFINITE,
        watcher: Watcher? = null,
    ): TrainResult {
        val options = TrainOptions()
        options.until = until
        options.deadlineMillis = if (deadline.isInfinite()) 0 else deadline.inWholeMilliseconds.coerceAtLeast(1)
        options.watcher = watcher
        return engine.run(this) { engine.train(options) }
    }

    /** Trains for so many epochs of a [SizedSource], those of earlier calls and before a resume counted. */
    public suspend fun train(
        epochs: Int,
        deadline: Duration = Duration.INFINITE,
        watcher: Watcher? = null,
    ): TrainResult = train(Until.epochs(epochs), deadline, watcher)

    /** Trains every block once, on the samples that were pushed or, where none were, on those of the source. */
    public suspend fun step(): Step = engine.run(this) { engine.step() }

    /**
     * Adds samples, one or many, to those that the next step trains on; they are copied. All of them together may be no
     * more than [TrainerConfig.batch]. Any thread, but not while another call is at work.
     */
    public fun push(samples: Samples) {
        Native.push(engine.handle(), samples.buffer, samples.header(), samples.labels, samples.rows())
    }

    /** Adds a frame of any size, of class [label], as [push] adds samples. */
    public fun push(frame: Frame, label: Int) {
        push(frame.samples(network.input(), intArrayOf(label)))
    }

    /** Adds a frame of any size, which is to be answered with [targets], one for each output of the network. */
    public fun push(frame: Frame, targets: FloatArray) {
        push(Samples.of(frame.image(network.input()), listOf(targets)))
    }

    /** Forgets the samples that were pushed and not yet trained on. */
    public fun discardPushed() {
        Native.discardPushed(engine.handle())
    }

    /**
     * Numbers of a sample's features: of what the units before the first trained weight make of it. [LocalgradException.Config]
     * where the first unit is trained, so that nothing stays as it is.
     */
    public val featureCount: Int get() = engine.featureCount()

    /**
     * What stays as it is of the network, passed once: the same samples with these features in the place of their images. They
     * train, are evaluated and predicted as the images are, as often as need be, and end in the same bytes, but for last digits
     * where a step has fewer samples than [TrainerConfig.batch]. They belong to the weights that made them: after [loadWeights],
     * [setWeights] or [restore] of others they are made anew.
     */
    public suspend fun features(samples: Samples): Samples = engine.run(this) { engine.features(samples) }

    /** The same of a frame of any size, of class [label]. */
    public suspend fun features(frame: Frame, label: Int): Samples =
        features(frame.samples(network.input(), intArrayOf(label)))

    /** The same of a frame that is to be answered with [targets]. */
    public suspend fun features(frame: Frame, targets: FloatArray): Samples =
        features(Samples.of(frame.image(network.input()), listOf(targets)))

    /** Evaluates the network on samples with labels or targets, as many as there are. */
    public suspend fun evaluate(samples: Samples): Evaluation = engine.run(this) { engine.evaluate(samples) }

    /** Evaluates the network on what [source] gives, until it gives null. */
    public suspend fun evaluate(source: Source): Evaluation = engine.run(this) { engine.evaluate(source) }

    /** What the network thinks of each sample: all classes or labels, the most likely first. Of values, [logits] tells. */
    public suspend fun predict(samples: Samples): List<List<Prediction>> = engine.run(this) { engine.predict(samples) }

    /** What the network thinks of a frame of any size: all classes, the most likely first. */
    public suspend fun predict(frame: Frame): List<Prediction> =
        predict(frame.samples(network.input(), IntArray(0))).first()

    /** What the network thinks of a bitmap, which must be ARGB_8888. */
    public suspend fun predict(bitmap: Bitmap): List<Prediction> = predict(Frame.of(bitmap))

    /**
     * What labelled samples tell of each exit: of the auxiliary networks behind the blocks that are trained, in order, and of the
     * network's end, which is the last. Samples that were not trained on tell best. Training is not changed.
     * [LocalgradException.Config] where the network answers with labels or values.
     */
    public suspend fun evaluateExits(samples: Samples): List<ExitEvaluation> =
        engine.run(this) { engine.evaluateExits(samples) }

    /**
     * As [predict], but each sample leaves the network by the first exit whose likeliest class has a probability of [confidence]
     * or more, at the latest by its end, and passes no later unit. [exits] are what [evaluateExits] found, whose temperatures make
     * probabilities as large as an exit is often right; none leaves them as they are.
     */
    public suspend fun predictEarly(
        samples: Samples,
        confidence: Double,
        exits: List<ExitEvaluation> = emptyList(),
    ): List<EarlyPrediction> = engine.run(this) { engine.predictEarly(samples, confidence, exits) }

    /**
     * One number for each class or label of each sample, sample after sample, before they become probabilities; the values,
     * where the network answers with these.
     */
    public suspend fun logits(samples: Samples): FloatArray = engine.run(this) { engine.logits(samples) }

    /** Makes calls that compute wait, before their next block, until [resume]; why is told as an [Event.Paused]. */
    @JvmOverloads
    public fun pause(reason: PauseReason = PauseReason.USER) {
        Native.pause(engine.handle(), reason.ordinal)
        engine.isPaused = true
    }

    /** Ends a pause. */
    public fun resume() {
        Native.resume(engine.handle())
        engine.isPaused = false
    }

    /**
     * Ends the call that computes, before its next block, or the next one where none does. A step that this interrupts
     * goes on where it was with the next call that trains; until then nothing can be saved.
     */
    public fun cancel() {
        engine.cancel()
    }

    /** The share of the time that is spent at work, from 0.01 to 1, against heat and for the battery. */
    public var workFraction: Double
        get() = engine.workFraction
        set(value) = setWorkFraction(value, PauseReason.WORK_FRACTION)

    /** Sets [workFraction]; why is told as an [Event.Pace]. */
    public fun setWorkFraction(fraction: Double, reason: PauseReason) {
        Native.setWorkFraction(engine.handle(), fraction, reason.ordinal)
        engine.workFraction = fraction
    }

    /** Worker threads from the next block on; 0 is one a core. Results stay the same. */
    public var threads: Int
        get() = engine.threads
        set(value) {
            Native.setThreads(engine.handle(), value)
            engine.threads = value
        }

    /** A number that can be changed while it trains. */
    public operator fun get(setting: Setting): Double = Native.get(engine.handle(), setting.ordinal)

    /** Changes a number from the next block on; it is saved with checkpoints and states. */
    public operator fun set(setting: Setting, value: Double) {
        Native.set(engine.handle(), setting.ordinal, value)
    }

    /** Where the trainer stands. */
    public val info: TrainerInfo get() = engine.info()

    /** The loss of each block in the last step; NaN before the first, and for frozen blocks. */
    public val losses: DoubleArray get() = Native.trainerLosses(engine.handle())

    /** Saves a checkpoint in [TrainerConfig.checkpoints]. */
    public suspend fun save(): Unit = engine.run(this) { Native.save(engine.handle()) }

    /** What a checkpoint holds, in memory. */
    public suspend fun state(): ByteArray = engine.run(this) { Native.state(engine.handle()) }

    /** Goes back to a state that [state] gave, of a trainer made as this one. */
    public suspend fun restore(state: ByteArray): Unit = engine.run(this) { engine.restore(state) }

    /** Takes weights from a safetensors file; one that does not fit changes nothing. */
    public suspend fun loadWeights(file: File, parts: Parts = Parts.ALL): Unit =
        engine.run(this) { engine.loadWeights(file, parts) }

    /** The weights and running statistics of the network by name, those of one [block] or of all, such as to average them. */
    public suspend fun weights(precision: Precision = Precision.F32, block: Int? = null): List<Weight> =
        engine.run(this) { engine.weights(precision, block) }

    /** Sets weights by name, all of them or, where one does not fit, none. Those that are not named stay as they are. */
    public suspend fun setWeights(weights: List<Weight>): Unit = engine.run(this) { engine.setWeights(weights) }

    /** Writes the network's weights into a safetensors file, at once or not at all, with all that [Network.load] needs. */
    public suspend fun export(file: File, precision: Precision = Precision.F32): Unit =
        engine.run(this) { Native.export(engine.handle(), file.path, precision.ordinal) }

    /** Frees all it holds; checkpoints stay. A call that is at work ends between two blocks. Closing it twice is fine. */
    override fun close() {
        owned.close()
    }
}
