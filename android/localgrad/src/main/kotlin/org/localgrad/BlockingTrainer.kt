package org.localgrad

import java.io.File

/**
 * The calls of a [Trainer] that compute, for Java and for threads that may wait. They run on the trainer's own thread,
 * too. An interrupt of the thread that waits ends them between two blocks.
 */
public class BlockingTrainer internal constructor(private val trainer: Trainer, private val engine: Engine) {
    private fun <T> await(work: () -> T): T = engine.await(trainer, work)

    /** As [Trainer.train]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun train(options: TrainOptions = TrainOptions()): TrainResult = await { engine.train(options) }

    /** As [Trainer.step]. */
    @Throws(InterruptedException::class)
    public fun step(): Step = await { engine.step() }

    /** As [Trainer.evaluate]. */
    @Throws(InterruptedException::class)
    public fun evaluate(samples: Samples): Evaluation = await { engine.evaluate(samples) }

    /** As [Trainer.evaluate]. */
    @Throws(InterruptedException::class)
    public fun evaluate(source: Source): Evaluation = await { engine.evaluate(source) }

    /** As [Trainer.predict]. */
    @Throws(InterruptedException::class)
    public fun predict(samples: Samples): List<List<Prediction>> = await { engine.predict(samples) }

    /** As [Trainer.predict]. */
    @Throws(InterruptedException::class)
    public fun predict(frame: Frame): List<Prediction> {
        val samples = frame.samples(trainer.network.input(), IntArray(0))
        return await { engine.predict(samples) }.first()
    }

    /** As [Trainer.evaluateExits]. */
    @Throws(InterruptedException::class)
    public fun evaluateExits(samples: Samples): List<ExitEvaluation> = await { engine.evaluateExits(samples) }

    /** As [Trainer.predictEarly]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun predictEarly(
        samples: Samples,
        confidence: Double,
        exits: List<ExitEvaluation> = emptyList(),
    ): List<EarlyPrediction> = await { engine.predictEarly(samples, confidence, exits) }

    /** As [Trainer.features]. */
    @Throws(InterruptedException::class)
    public fun features(samples: Samples): Samples = await { engine.features(samples) }

    /** As [Trainer.weights]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun weights(precision: Precision = Precision.F32): List<Weight> = await { engine.weights(precision, null) }

    /** As [Trainer.setWeights]. */
    @Throws(InterruptedException::class)
    public fun setWeights(weights: List<Weight>): Unit = await { engine.setWeights(weights) }

    /** As [Trainer.logits]. */
    @Throws(InterruptedException::class)
    public fun logits(samples: Samples): FloatArray = await { engine.logits(samples) }

    /** As [Trainer.save]. */
    @Throws(InterruptedException::class)
    public fun save(): Unit = await { Native.save(engine.handle()) }

    /** As [Trainer.state]. */
    @Throws(InterruptedException::class)
    public fun state(): ByteArray = await { Native.state(engine.handle()) }

    /** As [Trainer.restore]. */
    @Throws(InterruptedException::class)
    public fun restore(state: ByteArray): Unit = await { engine.restore(state) }

    /** As [Trainer.loadWeights]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun loadWeights(file: File, parts: Parts = Parts.ALL): Unit =
        await { engine.loadWeights(file, parts) }

    /** As [Trainer.export]. */
    @JvmOverloads
    @Throws(InterruptedException::class)
    public fun export(file: File, precision: Precision = Precision.F32): Unit =
        await { Native.export(engine.handle(), file.path, precision.ordinal) }
}
