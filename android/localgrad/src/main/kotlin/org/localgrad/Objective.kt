package org.localgrad

/** What a network's outputs stand for, and the loss that they are trained by. */
public sealed class Objective(internal val number: Int) {
    /**
     * A sample is of one class: softmax cross-entropy. Samples come with labels, or with the share of each class as targets,
     * as of images that were mixed.
     */
    public data object Classes : Objective(0)

    /** A sample has each label or has it not: sigmoid binary cross-entropy. Targets are 1 for one that it has, else 0. */
    public data object Labels : Objective(1)

    /** A sample has values: their squared error. Targets are these. */
    public data object Values : Objective(2)

    /**
     * A sample has values: their Huber loss, which far ones move less. Targets are these.
     *
     * @property delta the error from which on the loss grows in proportion to it.
     */
    public data class Huber(public val delta: Double) : Objective(3)

    /** What an output stands for, in the plural. */
    internal val noun: String
        get() = when (this) {
            Classes -> "classes"
            Labels -> "labels"
            Values, is Huber -> "values"
        }

    /** Looked at where it is that loss alone. */
    internal val huberDelta: Double get() = (this as? Huber)?.delta ?: 1.0

    /** Whether outputs are no sign of how likely something is. */
    internal val areValues: Boolean get() = this == Values || this is Huber

    internal companion object {
        fun of(number: Int, huberDelta: Double): Objective = when (number) {
            1 -> Labels
            2 -> Values
            3 -> Huber(huberDelta)
            else -> Classes
        }
    }
}
