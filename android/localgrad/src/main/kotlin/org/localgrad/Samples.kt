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

/**
 * Images of the network's own size, one behind the other without gaps, with the class of each.
 *
 * What the [buffer] holds from its position to its limit is read where it lies, without a copy, so it must be direct
 * and must not change while a call uses it. [Samples.of] copies arrays into such a buffer. A [Frame] is for images of
 * other sizes.
 *
 * @property buffer the images: bytes, each of which stands for byte / 255, or floats in the machine's byte order.
 * @property labels the class of each, from 0; empty where none are needed, as for a prediction.
 * @property count how many images.
 * @property layout the order of the numbers.
 * @property isFloat whether the numbers are 32-bit floats.
 */
public class Samples @JvmOverloads constructor(
    public val buffer: ByteBuffer,
    public val labels: IntArray,
    public val count: Int = labels.size,
    public val layout: Layout = Layout.NHWC,
    public val isFloat: Boolean = false,
) {
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
    }

    /** Place, size and kind of the images, as the native side reads them. */
    internal fun header(): LongArray = longArrayOf(
        buffer.position().toLong(),
        buffer.remaining().toLong(),
        if (isFloat) 1 else 0,
        layout.ordinal.toLong(),
        count.toLong(),
    )

    public companion object {
        /** Copies bytes into a buffer of its own. */
        @JvmStatic
        @JvmOverloads
        public fun of(
            images: ByteArray,
            labels: IntArray,
            count: Int = labels.size,
            layout: Layout = Layout.NHWC,
        ): Samples {
            val buffer = ByteBuffer.allocateDirect(images.size)
            buffer.put(images)
            buffer.rewind()
            return Samples(buffer, labels, count, layout)
        }

        /** Copies floats into a buffer of its own. */
        @JvmStatic
        @JvmOverloads
        public fun of(
            images: FloatArray,
            labels: IntArray,
            count: Int = labels.size,
            layout: Layout = Layout.NHWC,
        ): Samples {
            val buffer = ByteBuffer.allocateDirect(Math.multiplyExact(images.size, Float.SIZE_BYTES))
            buffer.order(ByteOrder.nativeOrder()).asFloatBuffer().put(images)
            return Samples(buffer, labels, count, layout, isFloat = true)
        }
    }
}
