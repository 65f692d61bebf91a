package org.localgrad

/** Why training waits, or works less. */
public enum class PauseReason {
    /** Somebody wished it. */
    USER,

    /** The device is hot. */
    THERMAL,

    /** The battery is low, or does not charge. */
    BATTERY,

    /** The app is not in the foreground, or the system wants its time for others. */
    BACKGROUND,

    /** Work is to take a share of the time alone. */
    WORK_FRACTION,
}

/**
 * Something that happened in a trainer.
 *
 * @property step steps done when it happened.
 * @property progress how far the call that trains has come towards its number of steps, in 0 to 1; 0 where it has none.
 */
public sealed class Event(public val step: Long, public val progress: Float) {
    /**
     * A block was trained.
     *
     * @property block the block, from 0.
     * @property loss mean loss of a sample; NaN for a frozen block, which has none.
     */
    public class BlockDone internal constructor(
        step: Long,
        progress: Float,
        public val block: Int,
        public val loss: Double,
    ) : Event(step, progress)

    /**
     * A step is done.
     *
     * @property samples samples in it.
     * @property loss mean loss of the last block, which is the network's own.
     * @property accuracy the share of the samples that were classified right, while training, or of the labels; NaN where
     * answers are values.
     * @property seconds seconds at work.
     * @property peakBytes the most bytes of memory that were in use at one time.
     */
    public class StepDone internal constructor(
        step: Long,
        progress: Float,
        public val samples: Long,
        public val loss: Double,
        public val accuracy: Double,
        public val seconds: Double,
        public val peakBytes: Long,
    ) : Event(step, progress)

    /**
     * An evaluation is done.
     *
     * @property evaluation what it found.
     */
    public class Evaluated internal constructor(step: Long, progress: Float, public val evaluation: Evaluation) :
        Event(step, progress)

    /**
     * A checkpoint was written.
     *
     * @property seconds how long it took.
     */
    public class CheckpointSaved internal constructor(step: Long, progress: Float, public val seconds: Double) :
        Event(step, progress)

    /**
     * Something went wrong, and training goes on.
     *
     * @property message what it was.
     */
    public class Warning internal constructor(step: Long, progress: Float, public val message: String) :
        Event(step, progress)

    /**
     * A call that computes waits, because the trainer is paused.
     *
     * @property reason why.
     * @property message why, in words.
     */
    public class Paused internal constructor(
        step: Long,
        progress: Float,
        public val reason: PauseReason,
        public val message: String,
    ) : Event(step, progress)

    /** It goes on. */
    public class Resumed internal constructor(step: Long, progress: Float) : Event(step, progress)

    /**
     * The share of the time that is spent at work is another.
     *
     * @property workFraction the share, up to 1.
     * @property reason why.
     * @property message why, in words.
     */
    public class Pace internal constructor(
        step: Long,
        progress: Float,
        public val workFraction: Double,
        public val reason: PauseReason,
        public val message: String,
    ) : Event(step, progress)

    override fun toString(): String = when (this) {
        is Paused -> "Paused(step=$step, $message)"
        is Resumed -> "Resumed(step=$step)"
        is Pace -> "Pace(step=$step, $workFraction, $message)"
        is BlockDone -> "BlockDone(step=$step, block=$block, loss=$loss)"
        is StepDone -> "StepDone(step=$step, samples=$samples, loss=$loss, accuracy=$accuracy)"
        is Evaluated -> "Evaluated(step=$step, $evaluation)"
        is CheckpointSaved -> "CheckpointSaved(step=$step)"
        is Warning -> "Warning(step=$step, $message)"
    }
}
