package org.localgrad

import java.lang.management.ManagementFactory

/**
 * What a step costs the thread that calls, through Kotlin: all but the computing itself, which the trainer's workers do.
 * `android/benches/overhead.sh` compares it with the same through C. Arguments: steps, batch, model.
 */
internal object Overhead {
    private const val WARM_UP = 5L

    @JvmStatic
    fun main(arguments: Array<String>) {
        val (steps, batch) = arguments.take(2).map { it.toInt() }
        val network = Network.create(arguments[2])
        val clock = ManagementFactory.getThreadMXBean()
        val pixels = network.channels * network.height * network.width
        val samples = Samples.of(ByteArray(batch * pixels) { (it * 7).toByte() }, IntArray(batch) { it % network.classes })
        var began = 0L
        val config = Pictures.config { this.batch = batch }
        Trainer(network, config).use { trainer ->
            trainer.source = Source { number ->
                if (number == WARM_UP) began = clock.currentThreadCpuTime
                samples
            }
            trainer.addListener({ it.run() }, { })
            trainer.blocking.train(TrainOptions().apply {
                until = Until.steps(steps.toLong())
                watcher = Watcher { step ->
                    if (step.number == steps.toLong()) {
                        val micros = (clock.currentThreadCpuTime - began) / 1e3 / (steps - WARM_UP)
                        println("thread %.1f microseconds a step".format(micros))
                    }
                    true
                }
            })
        }
    }
}
