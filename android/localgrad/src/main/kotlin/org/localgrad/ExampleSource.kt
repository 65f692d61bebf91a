package org.localgrad

import java.nio.ByteBuffer
import kotlin.random.Random

/** An example as it is shown. */
internal data class Showing(val example: Int, val isMirrored: Boolean)

/**
 * Examples in another order each epoch: a function of the step's number, so that a resume goes on in the same order. They
 * have so many [labels], or a class each where these are 0. Showings of which features are [kept] come as these.
 */
internal class ExampleSource(
    private val examples: List<Example>,
    input: LongArray,
    private val options: PersonalizerOptions,
    private val labels: Int,
    private val kept: KeptFeatures,
) : SizedSource {
    private val channels = input[0].toInt()
    private val width = input[2].toInt()
    private val imageBytes = examples.first().image.size
    override val size: Int = examples.size
    override val batch: Int = options.batch
    private val steps = (size - 1) / batch + 1
    private val imageBuffer by lazy { ByteBuffer.allocateDirect(batch * imageBytes) }
    private val rowBuffer by lazy { kept.buffer(minOf(batch, size)) }

    /** Whether features of all showings find room, and some are made. */
    val keepsFeatures: Boolean = kept.haveRoom(size)

    /** What step [number] shows. */
    fun showings(number: Long): List<Showing> {
        val epoch = number / steps
        val order = examples.indices.shuffled(Random(options.seed * 1_000_003 + epoch))
        val first = (number % steps).toInt() * batch
        val chosen = order.subList(first, minOf(first + batch, size))
        val mirrors = Random(options.seed * 1_000_003 - number - 1)
        return chosen.map { Showing(it, options.mirror && mirrors.nextBoolean()) }
    }

    override fun samples(number: Long): Samples = samples(showings(number))

    /** The examples as they are, a batch at a time; null behind the last. */
    fun inOrder(number: Long): Samples? {
        val first = number * batch
        if (first >= size) return null
        return samples((first.toInt() until minOf(first + batch, size.toLong()).toInt()).map { Showing(it, false) })
    }

    private fun samples(showings: List<Showing>): Samples {
        val answers = showings.map { examples[it.example].answer }
        val areKept = keepsFeatures && kept.write(showings, rowBuffer)
        val buffer = if (areKept) rowBuffer else images(showings)
        val samples = when (labels) {
            0 -> Samples(buffer, answers.toIntArray())
            else -> Samples(buffer, answers.map { row(it) })
        }
        return if (areKept) samples.withFeatures(buffer) else samples
    }

    /** The images of showings, of a batch at the most, one behind the other; they stay until the next are asked for. */
    fun images(showings: List<Showing>): ByteBuffer {
        val buffer = imageBuffer
        buffer.clear()
        for (showing in showings) {
            val image = examples[showing.example].image
            buffer.put(if (showing.isMirrored) mirrored(image) else image)
        }
        buffer.flip()
        return buffer
    }

    private fun row(bits: Int) = FloatArray(labels) { (bits shr it and 1).toFloat() }

    private fun mirrored(image: ByteArray): ByteArray {
        val mirrored = ByteArray(image.size)
        val rowBytes = width * channels
        for (at in image.indices) {
            val column = at % rowBytes / channels
            mirrored[at + (width - 1 - 2 * column) * channels] = image[at]
        }
        return mirrored
    }
}
