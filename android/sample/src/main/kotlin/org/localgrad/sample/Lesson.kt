package org.localgrad.sample

import android.content.Context
import java.io.File
import org.localgrad.Network
import org.localgrad.Samples
import org.localgrad.SizedSource
import org.localgrad.Trainer

/** What the sample learns: on which of four sides of a picture the light is. It draws the pictures itself. */
internal object Lesson {
    private const val SIDE = 16
    private const val CHANNELS = 3
    private const val BATCH = 16

    /** How many pictures an epoch has. */
    private const val SIZE = 320

    /** How often each picture is seen. */
    const val EPOCHS = 20

    val classes: List<String> = listOf("left", "right", "above", "below")

    /** Everything that is kept: on no backup, as it is of this device alone. */
    fun directory(context: Context): File = File(context.noBackupFilesDir, "lesson")

    private fun network(): Network = Network.create("resnet8") {
        height = SIDE
        width = SIDE
        classes = Lesson.classes.size
        widths = listOf(8, 8, 16, 32)
    }.nameClasses(classes)

    /** The trainer, where it was left. */
    fun open(context: Context): Trainer {
        val trainer = Trainer(network()) {
            rule = "greedy"
            blocks = 2
            batch = BATCH
            checkpoints = directory(context)
        }
        trainer.source = pictures
        return trainer
    }

    /** Pictures as a function of their number, so that training ends the same however often it is interrupted. */
    val pictures: SizedSource = object : SizedSource {
        override val size = SIZE
        override val batch = BATCH

        override fun samples(number: Long): Samples {
            val first = number % (SIZE / BATCH) * BATCH
            val labels = IntArray(BATCH) { ((first + it) % Lesson.classes.size).toInt() }
            val images = ByteArray(BATCH * SIDE * SIDE * CHANNELS)
            for (sample in 0 until BATCH) draw(images, sample, first + sample, labels[sample])
            return Samples.of(images, labels)
        }
    }

    private fun draw(images: ByteArray, sample: Int, seed: Long, label: Int) {
        val random = kotlin.random.Random(seed)
        for (row in 0 until SIDE) {
            for (column in 0 until SIDE) {
                val way = listOf(SIDE - column, column, SIDE - row, row)[label]
                for (channel in 0 until CHANNELS) {
                    val place = ((sample * SIDE + row) * SIDE + column) * CHANNELS + channel
                    images[place] = (10 * way + random.nextInt(60)).toByte()
                }
            }
        }
    }
}
