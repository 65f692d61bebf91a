package org.localgrad

import java.io.File

/** Small images that can be learnt: each class has a bright bar of its own. `benches/twin.c` makes the same. */
internal object Pictures {
    const val SIDE = 8
    const val CLASSES = 4
    const val CHANNELS = 3
    const val PIXELS = SIDE * SIDE * CHANNELS

    /** A network that trains in a millisecond or two. */
    fun network(): Network = Network.create("resnet8") {
        height = SIDE
        width = SIDE
        classes = CLASSES
        widths = listOf(4, 4, 8, 8)
    }

    /** The smallest one there is. */
    fun tinyNetwork(): Network = Network.create("resnet8") {
        height = SIDE
        width = SIDE
        classes = CLASSES
        widths = listOf(1, 1, 1, 1)
    }

    /** Image [index] of an endless row, the same every time, and its class. */
    fun image(index: Long): Pair<ByteArray, Int> {
        var noise = index.toInt() * -1640531535 + 12345
        val label = (index % CLASSES).toInt()
        val bytes = ByteArray(PIXELS) { at ->
            noise = noise * 1664525 + 1013904223
            val bright = if (at / (SIDE * CHANNELS) / 2 == label) 180 else 40
            (bright + (noise ushr 24) % 40).toByte()
        }
        return bytes to label
    }

    /** Images [first] and on, [count] of them. */
    fun samples(first: Long, count: Int, layout: Layout = Layout.NHWC): Samples {
        val bytes = ByteArray(count * PIXELS)
        val labels = IntArray(count)
        for (sample in 0 until count) {
            val (image, label) = image(first + sample)
            labels[sample] = label
            for (at in 0 until PIXELS) {
                val place = if (layout == Layout.NHWC) at else at % CHANNELS * SIDE * SIDE + at / CHANNELS
                bytes[sample * PIXELS + place] = image[at]
            }
        }
        return Samples.of(bytes, labels, count, layout)
    }

    /** Batches of the endless row. */
    fun source(batch: Int = 16): Source = Source { number -> samples(number * batch, batch) }

    /** The bytes of the weights that it exports. (A state also tells how long training took.) */
    fun bytes(trainer: Trainer): ByteArray {
        val file = File.createTempFile("weights", ".safetensors")
        try {
            trainer.blocking.export(file)
            return file.readBytes()
        } finally {
            file.delete()
        }
    }

    /** A configuration for these. */
    fun config(change: TrainerConfig.() -> Unit = {}): TrainerConfig = TrainerConfig().apply {
        rule = "greedy"
        blocks = 2
        batch = 16
        threads = 1
        learningRate = 0.05
        change()
    }
}
