package org.localgrad

/** What a call that trains goes on to, besides its deadline and its watcher. */
public class Until private constructor(private val steps: Long, private val epochs: Int) {
    /** In steps of the trainer; 0 is none. */
    internal fun steps(source: Source?): Long {
        if (epochs == 0) return steps
        if (source !is SizedSource) {
            throw LocalgradException.Config("epochs need a SizedSource, which says how many samples one has; or say steps")
        }
        if (source.size < 1 || source.batch < 1) {
            throw LocalgradException.Config("the source says it has ${source.size} samples in batches of ${source.batch}")
        }
        val stepsAnEpoch = (source.size - 1) / source.batch + 1L
        return epochs * stepsAnEpoch
    }

    public companion object {
        /** As long as there are samples. */
        @JvmField
        public val DATA_ENDS: Until = Until(0, 0)

        /** Until so many steps are done, those of earlier calls and before a resume counted. */
        @JvmStatic
        public fun steps(count: Long): Until {
            if (count < 1) throw LocalgradException.Argument("$count steps are none; train until at least 1 is done")
            return Until(count, 0)
        }

        /** Until so many epochs of a [SizedSource] are done, those of earlier calls and before a resume counted. */
        @JvmStatic
        public fun epochs(count: Int): Until {
            if (count < 1) throw LocalgradException.Argument("$count epochs are none; train for at least 1")
            return Until(0, count)
        }
    }
}

/** When a call that trains returns. */
public class TrainOptions {
    /** What it goes on to. */
    public var until: Until = Until.DATA_ENDS

    /** When so many milliseconds are over: no step is begun that is likely to end later, but for the first; 0 is any. */
    public var deadlineMillis: Long = 0

    /** Is told of each step, and may stop it. */
    public var watcher: Watcher? = null
}

/** Which weights are taken from a file. */
public enum class Parts {
    /** All of them. */
    ALL,

    /** All but those of the layer that gives the classes. */
    BODY,
}

/** A number that can be changed while a trainer trains. */
public enum class Setting {
    /** The learning rate that the schedule changes from. */
    LEARNING_RATE,

    /** Momentum, of SGD that has some. */
    MOMENTUM,

    /** Weight decay. */
    WEIGHT_DECAY,

    /** Decay of the mean of gradients, of AdamW. */
    BETA1,

    /** Decay of the mean of their squares, of AdamW. */
    BETA2,

    /** What keeps the divisor from 0, of AdamW. */
    EPSILON,

    /** The share of each label that is spread over all classes. */
    LABEL_SMOOTHING,

    /** The largest norm of a block's gradient; 0 is any. */
    CLIP_NORM,
}
