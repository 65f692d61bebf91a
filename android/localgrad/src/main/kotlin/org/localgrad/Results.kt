package org.localgrad

/** Why a call that trains returned. */
public enum class Reason {
    /** All steps are done. */
    DONE,

    /** The time is over. */
    DEADLINE,

    /** The watcher said stop. */
    STOPPED,

    /** [Trainer.cancel] was called. */
    CANCELLED,

    /** There are no more samples. */
    DATA_ENDED,
}

/**
 * What a call that trains came to.
 *
 * @property reason why it returned.
 * @property steps steps of the trainer that are done, earlier calls counted.
 * @property newSteps steps that this call finished.
 * @property loss mean loss of the last block in the last step; NaN where there was none.
 */
public data class TrainResult(
    public val reason: Reason,
    public val steps: Long,
    public val newSteps: Long,
    public val loss: Double,
)

/**
 * What a step found.
 *
 * @property number its number, from 1.
 * @property samples samples in it.
 * @property correct how many of them were classified right, while training; of a network whose objective is labels, how
 * many labels; 0 where it is values.
 * @property loss mean loss of the last block, which is the network's own.
 * @property learningRate the learning rate it was done with.
 * @property seconds seconds at work.
 */
public data class Step(
    public val number: Long,
    public val samples: Int,
    public val correct: Int,
    public val loss: Double,
    public val learningRate: Double,
    public val seconds: Double,
)

/**
 * What an evaluation found.
 *
 * @property samples how many there were.
 * @property accuracy the share of them that were classified right, in 0 to 1; of a network whose objective is labels the
 * share of the right answers, and NaN of one whose objective is values.
 * @property loss mean cross-entropy, or loss of the network's objective.
 * @property metricName what the network is judged by: "accuracy", "label_accuracy" or, of values, "mean_absolute_error",
 * which is the better the less.
 * @property metric its value.
 */
public data class Evaluation @JvmOverloads constructor(
    public val samples: Long,
    public val accuracy: Double,
    public val loss: Double,
    public val metricName: String = "accuracy",
    public val metric: Double = accuracy,
)

/**
 * A class, or a label, with how likely the network thinks it is.
 *
 * @property index the class, from 0.
 * @property name its name; its number where the network has no names.
 * @property probability in 0 to 1; those of all classes of an image add up to 1, and each label's stands for itself.
 */
public data class Prediction(public val index: Int, public val name: String, public val probability: Float)

/**
 * What samples tell of an exit.
 *
 * @property accuracy the share of them that it classified right, in 0 to 1.
 * @property temperature what its logits are divided by so that its probabilities are as large as it is often right.
 */
public data class ExitEvaluation(public val accuracy: Double, public val temperature: Double)

/**
 * What the network thinks of a sample that left by the first exit that was sure enough.
 *
 * @property exit that exit, from 0; the last is the network's end.
 * @property predictions all classes, the most likely first.
 */
public data class EarlyPrediction(public val exit: Int, public val predictions: List<Prediction>)

/**
 * How a trainer would train, and what that needs.
 *
 * @property peakBytes the most bytes in use at one time: an upper bound.
 * @property ends the last unit of each local block.
 * @property microBatch samples that pass through a block at once; 0 is all.
 * @property recompute whether forward passes are repeated.
 * @property activations what activations wait in.
 * @property offload whether what is not at work waits in the scratch file.
 */
public data class Plan(
    public val peakBytes: Long,
    public val ends: List<Int>,
    public val microBatch: Int,
    public val recompute: Boolean,
    public val activations: Precision,
    public val offload: Boolean,
) {
    /** Local blocks. */
    public val blocks: Int get() = ends.size
}

/**
 * Where a trainer stands.
 *
 * @property blocks local blocks.
 * @property batch the most samples in a step.
 * @property pending samples that were pushed and wait for the next step.
 * @property steps steps done.
 * @property samples samples trained on.
 * @property seconds seconds at work in training.
 * @property learningRate the learning rate of the next step.
 * @property stepIsOpen whether the step that follows was interrupted; nothing can be saved before it is finished.
 * @property blocksDone its blocks that are done.
 * @property isDamaged whether an error came in the middle of a step: go back to a checkpoint or a state.
 */
public data class TrainerInfo(
    public val blocks: Int,
    public val batch: Int,
    public val pending: Int,
    public val steps: Long,
    public val samples: Long,
    public val seconds: Double,
    public val learningRate: Double,
    public val stepIsOpen: Boolean,
    public val blocksDone: Int,
    public val isDamaged: Boolean,
)
