package org.localgrad

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The order of the numbers in an image. */
public enum class Layout {
    /** Rows of pixels of channels, as in most image files. */
    NHWC,

    /** Planes, one a channel, as in PyTorch. */
    NCHW,
}

/** What the numbers of samples are, in the native side's order. */
internal enum class Kind { BYTES, FLOATS, FEATURES, TOKENS }

/**
 * Images of the network's own size, one behind the other without gaps, with the class of each or, where the network's
 * [Objective] is another, with a row of numbers for each.
 *
 * In place of images there may be their features, which [Trainer.features] makes, or rows of tokens, such as the words of
 * texts, for a network that takes these ([Network.vocabulary], [Samples.ofTokens]).
 *
 * What the [buffer] holds from its position to its limit is read where it lies, without a copy, so it must be direct
 * and must not change while a call uses it. [Samples.of] copies arrays into such a buffer. A [Frame] is for images of
 * other sizes.
 *
 * @property buffer the images: bytes, each of which stands for byte / 255, or floats in the machine's byte order; or tokens
 * of 32 bits in the same order.
 * @property labels the class of each, from 0; empty where none are needed, as for a prediction.
 * @property targets in place of labels, a row of as many numbers for each as the network has outputs; else empty.
 * @property count how many images.
 * @property layout the order of the numbers.
 */
public class Samples private constructor(
    public val buffer: ByteBuffer,
    public val labels: IntArray,
    public val targets: List<FloatArray>,
    public val count: Int,
    public val layout: Layout,
    private val kind: Kind,
) {
    /** Whether the numbers are 32-bit floats. */
    public val isFloat: Boolean get() = kind == Kind.FLOATS || areFeatures

    /** Whether they are features in place of images, whose [layout] is of no matter. */
    public val areFeatures: Boolean get() = kind == Kind.FEATURES

    /** Whether they are tokens in place of images, whose [layout] is of no matter. */
    public val areTokens: Boolean get() = kind == Kind.TOKENS

    /** Images with the class of each. */
    @JvmOverloads
    public constructor(
        buffer: ByteBuffer,
        labels: IntArray,
        count: Int = labels.size,
        layout: Layout = Layout.NHWC,
        isFloat: Boolean = false,
    ) : this(buffer, labels, emptyList(), count, layout, pixels(isFloat))

    /** As many images as rows of [targets]. */
    @JvmOverloads
    public constructor(
        buffer: ByteBuffer,
        targets: List<FloatArray>,
        layout: Layout = Layout.NHWC,
        isFloat: Boolean = false,
    ) : this(buffer, IntArray(0), targets, targets.size, layout, pixels(isFloat))

    init {
        if (!buffer.isDirect) {
            throw LocalgradException.Argument(
                "the images are in a buffer that is not direct; use ByteBuffer.allocateDirect, or Samples.of, which copies",
            )
        }
        if (count < 0) throw LocalgradException.Argument("$count images are fewer than none")
        if (labels.isNotEmpty() && labels.size != count) {
            throw LocalgradException.Argument("there are ${labels.size} labels for $count images; give one for each")
        }
        val wrong = labels.indexOfFirst { it < 0 }
        if (wrong >= 0) {
            throw LocalgradException.Argument("sample $wrong has label ${labels[wrong]}; classes are counted from 0")
        }
        val width = targets.firstOrNull()?.size ?: 0
        val uneven = targets.indexOfFirst { it.isEmpty() || it.size != width }
        if (uneven >= 0) {
            throw LocalgradException.Argument(
                "sample $uneven has ${targets[uneven].size} targets, and sample 0 has $width; " +
                    "give each as many as the network has outputs",
            )
        }
    }

    /** Place, size and kind of the images, as the native side reads them. */
    internal fun header(): LongArray = longArrayOf(
        buffer.position().toLong(),
        buffer.remaining().toLong(),
        kind.ordinal.toLong(),
        layout.ordinal.toLong(),
        count.toLong(),
    )

    /** The same samples, with these features in the place of their images. */
    internal fun withFeatures(features: ByteBuffer): Samples =
        Samples(features, labels, targets, count, Layout.NHWC, Kind.FEATURES)

    /** The targets, row after row, as the native side reads them. */
    internal fun rows(): FloatArray {
        val width = targets.firstOrNull()?.size ?: return FloatArray(0)
        return FloatArray(Math.multiplyExact(targets.size, width)) { targets[it / width][it % width] }
    }

    public companion object {
        /** Copies bytes into a buffer of its own. */
        @JvmStatic
        @JvmOverloads
        public fun of(
            images: ByteArray,
            labels: IntArray,
            count: Int = labels.size,
            layout: Layout = Layout.NHWC,
        ): Samples = Samples(direct(images), labels, count, layout)

        /** The same with a row of [targets] for each image. */
        @JvmStatic
        @JvmOverloads
        public fun of(images: ByteArray, targets: List<FloatArray>, layout: Layout = Layout.NHWC): Samples =
            Samples(direct(images), targets, layout)

        /** Copies floats into a buffer of its own. */
        @JvmStatic
        @JvmOverloads
        public fun of(
            images: FloatArray,
            labels: IntArray,
            count: Int = labels.size,
            layout: Layout = Layout.NHWC,
        ): Samples = Samples(direct(images), labels, count, layout, isFloat = true)

        /** The same with a row of [targets] for each image. */
        @JvmStatic
        @JvmOverloads
        public fun of(images: FloatArray, targets: List<FloatArray>, layout: Layout = Layout.NHWC): Samples =
            Samples(direct(images), targets, layout, isFloat = true)

        /** Copies features, such as those of a [Trainer.features] before, into a buffer of its own. */
        @JvmStatic
        @JvmOverloads
        public fun ofFeatures(features: FloatArray, labels: IntArray, count: Int = labels.size): Samples =
            of(features, labels, count).let { it.withFeatures(it.buffer) }

        /** The same with a row of [targets] for each sample. */
        @JvmStatic
        public fun ofFeatures(features: FloatArray, targets: List<FloatArray>): Samples =
            of(features, targets).let { it.withFeatures(it.buffer) }

        /**
         * Copies rows of tokens, each as long as the network's [Network.width], into a buffer of its own. A token counts from 0
         * and is below [Network.vocabulary].
         */
        @JvmStatic
        @JvmOverloads
        public fun ofTokens(tokens: IntArray, labels: IntArray, count: Int = labels.size): Samples =
            Samples(direct(tokens), labels, emptyList(), count, Layout.NHWC, Kind.TOKENS)

        /** The same with a row of [targets] for each sample. */
        @JvmStatic
        public fun ofTokens(tokens: IntArray, targets: List<FloatArray>): Samples =
            Samples(direct(tokens), IntArray(0), targets, targets.size, Layout.NHWC, Kind.TOKENS)

        private fun pixels(isFloat: Boolean): Kind = if (isFloat) Kind.FLOATS else Kind.BYTES

        private fun direct(images: ByteArray): ByteBuffer {
            val buffer = ByteBuffer.allocateDirect(images.size)
            buffer.put(images)
            buffer.rewind()
            return buffer
        }

        private fun direct(images: FloatArray): ByteBuffer {
            val buffer = ByteBuffer.allocateDirect(Math.multiplyExact(images.size, Float.SIZE_BYTES))
            buffer.order(ByteOrder.nativeOrder()).asFloatBuffer().put(images)
            return buffer
        }

        private fun direct(tokens: IntArray): ByteBuffer {
            val buffer = ByteBuffer.allocateDirect(Math.multiplyExact(tokens.size, Int.SIZE_BYTES))
            buffer.order(ByteOrder.nativeOrder()).asIntBuffer().put(tokens)
            return buffer
        }
    }
}
