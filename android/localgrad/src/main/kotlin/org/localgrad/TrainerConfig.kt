package org.localgrad

import java.io.File

/** How gradients change weights. */
public enum class Optimizer {
    /** Stochastic gradient descent with [TrainerConfig.momentum] and [TrainerConfig.nesterov]. */
    SGD,

    /** Adam with decoupled weight decay. */
    ADAMW,
}

/** How the learning rate changes from step to step. */
public enum class Schedule {
    /** It stays what it is. */
    CONSTANT,

    /** Half a cosine to a hundredth of the rate over [TrainerConfig.scheduleSteps], after [TrainerConfig.warmupSteps]. */
    COSINE,
}

/** In what numbers wait, or are written. */
public enum class Precision {
    /** 32 bits, which lose nothing. */
    F32,

    /** 16 bits, with more digits, up to 65504. */
    F16,

    /** 16 bits, with fewer digits, as large as 32 bits hold: for activations; weights are not written in it. */
    BF16,
}

/** What of a network is trained. */
public class Train private constructor(internal val lastUnits: Int?, internal val name: String?) {
    public companion object {
        /** All of it. */
        @JvmField
        public val ALL: Train = Train(null, null)

        /** The head alone, end to end unless blocks are asked for; what comes before stays, and keeps no activations. */
        @JvmField
        public val HEAD: Train = Train(null, "head")

        /** Scales and shifts of norms, and the head. */
        @JvmField
        public val NORMS: Train = Train(null, "norms")

        /** Biases, the shifts of norms among them, and the head; batch norms go by their running statistics. */
        @JvmField
        public val BIASES: Train = Train(null, "biases")

        /**
         * The last [count] units and the head; what comes before stays as it is, and keeps no activations. That is
         * enough to teach a network new classes.
         */
        @JvmStatic
        public fun lastUnits(count: Int): Train {
            if (count < 1) throw LocalgradException.Argument("the last $count units are none; train at least 1")
            return Train(count, null)
        }
    }
}

/**
 * How a trainer is made. Each field begins with its default, which is that of the C header.
 *
 * A trainer reads it when it is made; later changes change nothing.
 */
public class TrainerConfig {
    /** `bp`, `greedy`, `dgl`, `predsim`, `infopro`, `auglocal`, `man` or `manpp`; null is `man`. */
    public var rule: String? = null

    /**
     * The classifier of each auxiliary network, such as `dgl` or `1c2f`; null is the rule's own, and of `man` for images
     * `auglocal` with an [auxDepth] of 1 and an [emaMomentum] of 0.9.
     */
    public var head: String? = null

    /** What is trained; [Train.lastUnits] in place of [blocks], [ends] and [frozenBlocks]. */
    public var train: Train = Train.ALL

    /** Local blocks to cut the network into; 0 is 4, or 1 for `bp`. */
    public var blocks: Int = 0

    /** The last unit of each block, rising, in place of [blocks]. */
    public var ends: List<Int>? = null

    /** The first blocks, as many as this, stay as they are. */
    public var frozenBlocks: Int = 0

    /** The most samples in a step. */
    public var batch: Int = 32

    /** Samples that pass through a block at once; 0 is all. */
    public var microBatch: Int = 0

    /** Whether forward passes are repeated rather than kept: less memory, the same results. */
    public var recompute: Boolean = false

    /** How gradients change weights. */
    public var optimizer: Optimizer = Optimizer.SGD

    /**
     * Bits of each number that it remembers of large weights: 32, or 8, which is a quarter of that memory, rounded block by
     * block, without [offload] only.
     */
    public var optimizerStateBits: Int = 32

    /** Of [Optimizer.SGD]: the share of the last direction that is kept. */
    public var momentum: Double = 0.9

    /** Of [Optimizer.SGD]: whether to look one step of momentum ahead. */
    public var nesterov: Boolean = true

    /** Of [Optimizer.ADAMW]: decay of the mean of gradients. */
    public var beta1: Double = 0.9

    /** Of [Optimizer.ADAMW]: decay of the mean of their squares. */
    public var beta2: Double = 0.999

    /** Of [Optimizer.ADAMW]: keeps the divisor from 0. */
    public var epsilon: Double = 1e-8

    /** Weight decay. */
    public var weightDecay: Double = 1e-4

    /** Learning rate. */
    public var learningRate: Double = 0.025

    /** How the learning rate changes. */
    public var schedule: Schedule = Schedule.CONSTANT

    /** Steps of the schedule. */
    public var scheduleSteps: Long = 0

    /** Steps of its warm-up. */
    public var warmupSteps: Long = 0

    /** The share of each label that is spread over all classes. */
    public var labelSmoothing: Double = 0.0

    /** The largest norm of a block's gradient; 0 is any. */
    public var clipNorm: Double = 0.0

    /**
     * How images are normalised: `cifar10`, `imagenet`, `fashion`, `half`, `identity`; null is what the network's
     * weights say, or else `half`.
     */
    public var normalize: String? = null

    /** In place of [normalize], what is subtracted from each channel. */
    public var mean: List<Float>? = null

    /** And what it is then divided by. */
    public var deviation: List<Float>? = null

    /** `cpu`; other devices are those of [Localgrad.devices]. */
    public var device: String? = null

    /**
     * In what products are multiplied on a device with tensor cores: `f32`, `tf32` (11 bits), or `f16` (forward; gradients in TF32).
     * Sums stay `f32`, which is also what null is.
     */
    public var precision: String? = null

    /** Worker threads; 0 is one a core, or as many of them as keep to [memoryBudget]. */
    public var threads: Int = 0

    /** Seed of weights and dropout. */
    public var seed: Long = 0

    /**
     * The most bytes of memory that the trainer may have in use, such as `64.mebibytes`; 0 is any. What is left open
     * is chosen so that training is fast; where nothing fits, [LocalgradException.Budget] tells the least that would.
     */
    public var memoryBudget: Long = 0

    /** Whether batch norm's statistics are those of the whole step in micro-batches, too, which repeats passes. */
    public var exactMicroBatches: Boolean = false

    /** What activations wait in for the backward pass. */
    public var activations: Precision = Precision.F32

    /** Directory of a file without a name, in which what is not at work may wait; such as `context.cacheDir`. */
    public var scratch: File? = null

    /** The most bytes that the file may hold; 0 is any. */
    public var scratchLimit: Long = 0

    /** Whether what is not at work waits in that file in any case. */
    public var offload: Boolean = false

    /** New units of AugLocal's first auxiliary networks; 0 is 2, or 1 where [head] says so. */
    public var auxDepth: Int = 0

    /** Rows and columns of windows whose means new units of AugLocal's take, along sides of 16 and more; 0 is 1. */
    public var auxPool: Int = 0

    /** The share of the old value that moving averages keep in a step; null is the rule's own. */
    public var emaMomentum: Double? = null

    /** Whether the averages of `man` stand alone, without a trained copy beside each. */
    public var averageAlone: Boolean = false

    /**
     * Directory of the checkpoints, such as `File(context.noBackupFilesDir, "fruit")`. Where there is one, the trainer
     * goes on from it; it is made otherwise.
     */
    public var checkpoints: File? = null

    /** How many checkpoints are kept. */
    public var keepCheckpoints: Int = 2

    /** A checkpoint is saved so many steps after the last one, 0 for any number, and when a call that trains ends. */
    public var checkpointSteps: Long = 0

    /** And so many milliseconds after the first step that none holds; 0 is any time. */
    public var checkpointMillis: Long = 30_000

    /** What the native side reads, for a network of so many units; with another budget if that is not 0. */
    internal fun json(units: Int, otherBudget: Long = 0): String {
        val json = Json()
        putMethod(json, units)
        putOptimizer(json)
        json.put("normalize", normalize)
        json.put("mean", mean)
        json.put("deviation", deviation)
        json.put("device", device)
        json.put("precision", precision)
        json.count("threads", threads.toLong())
        json.put("seed", seed)
        json.count("memory_budget_bytes", if (otherBudget != 0L) otherBudget else memoryBudget)
        json.put("exact_micro_batches", exactMicroBatches)
        json.put("activations", activations.ordinal.toLong())
        json.put("scratch", scratch?.path)
        json.count("scratch_limit_bytes", scratchLimit)
        json.put("offload", offload)
        return json.toString()
    }

    private fun putMethod(json: Json, units: Int) {
        val last = train.lastUnits
        if (last != null && (blocks != 0 || ends != null || frozenBlocks != 0)) {
            throw LocalgradException.Config("train says what is frozen; leave blocks, ends and frozenBlocks as they are")
        }
        val isTail = last != null && last < units
        val isCut = blocks != 0 || ends != null || frozenBlocks != 0 || head != null
        // One block is trained, with the network's own head: a rule that adds nothing to those before it will do.
        json.put("rule", rule ?: if (isTail) "greedy" else if (train === Train.HEAD && !isCut) "bp" else null)
        json.put("train", train.name)
        json.put("head", head)
        json.count("blocks", blocks.toLong())
        json.put("ends", if (isTail) listOf(units - last - 1, units - 1) else ends)
        json.count("frozen_blocks", if (isTail) 1 else frozenBlocks.toLong())
        json.count("batch", batch.toLong())
        json.count("micro_batch", microBatch.toLong())
        json.put("recompute", recompute)
        json.count("aux_depth", auxDepth.toLong())
        json.count("aux_pool", auxPool.toLong())
        json.put("ema_momentum", emaMomentum ?: -1.0)
        json.put("average_alone", averageAlone)
    }

    private fun putOptimizer(json: Json) {
        json.put("optimizer", optimizer.ordinal.toLong())
        json.put("optimizer_state_bits", optimizerStateBits.toLong())
        json.put("momentum", momentum)
        json.put("nesterov", nesterov)
        json.put("beta1", beta1)
        json.put("beta2", beta2)
        json.put("epsilon", epsilon)
        json.put("weight_decay", weightDecay)
        json.put("learning_rate", learningRate)
        json.put("schedule", schedule.ordinal.toLong())
        json.count("schedule_steps", scheduleSteps)
        json.count("warmup_steps", warmupSteps)
        json.put("label_smoothing", labelSmoothing)
        json.put("clip_norm", clipNorm)
    }
}
