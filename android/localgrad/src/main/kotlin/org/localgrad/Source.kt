package org.localgrad

/** Gives samples on demand. */
public fun interface Source {
    /**
     * The samples of step [number], which counts the steps done before it (batches, in an evaluation), or null where
     * there are no more. Samples that are a function of [number] are the same after a resume.
     *
     * Called on the trainer's own thread, between two steps. What it throws ends the call that needed the samples, and
     * is thrown by that. The samples must stay as they are until it is called again.
     */
    public fun samples(number: Long): Samples?
}

/** A source that knows how many samples an epoch has. */
public interface SizedSource : Source {
    /** Samples of an epoch. */
    public val size: Int

    /** The most samples that it gives at once. */
    public val batch: Int
}

/** Is told of each step. */
public fun interface Watcher {
    /**
     * A step is done; false ends the call that trains, with [Reason.STOPPED].
     *
     * Called on the trainer's own thread. What it throws ends the call that trains, and is thrown by that.
     */
    public fun onStep(step: Step): Boolean
}

/** Is told of everything that happens in a trainer. */
public fun interface EventListener {
    /** Called on the executor that was given with it. */
    public fun onEvent(event: Event)
}
