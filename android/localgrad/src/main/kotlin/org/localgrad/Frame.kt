package org.localgrad

import android.graphics.Bitmap
import java.nio.ByteBuffer

/** The channels of a frame's pixel, a byte each. */
public enum class FrameFormat {
    /** Red, green, blue. */
    RGB,

    /** Red, green, blue, and one that is not looked at: bitmaps, and `ImageReader` with `PixelFormat.RGBA_8888`. */
    RGBA,

    /** Blue, green, red, and one that is not looked at. */
    BGRA,

    /** Grey, such as the first plane of `ImageFormat.YUV_420_888`. */
    GRAY,
}

/** How a frame of other proportions fits a network. */
public enum class Fit {
    /** The largest part of the network's proportions in its middle is taken. */
    CROP,

    /** All of it is taken, and distorted. */
    STRETCH,
}

/**
 * A frame of a camera or a bitmap, of any size, in rows that may have gaps. What the [buffer] holds from its position on
 * is read where it lies, without a copy, so it must be direct and must not change while a call uses it.
 *
 * @property buffer the first row and those that follow.
 * @property width columns.
 * @property height rows.
 * @property format the channels.
 * @property rowBytes from the beginning of a row to that of the next, such as `Image.Plane.rowStride`; 0 is no gap.
 * @property rotationDegrees by how many degrees it must be turned clockwise to stand upright: 0, 90, 180 or 270.
 * @property fit how it fits a network of other proportions.
 */
public class Frame @JvmOverloads constructor(
    public val buffer: ByteBuffer,
    public val width: Int,
    public val height: Int,
    public val format: FrameFormat = FrameFormat.RGBA,
    public val rowBytes: Int = 0,
    public val rotationDegrees: Int = 0,
    public val fit: Fit = Fit.CROP,
) {
    init {
        if (!buffer.isDirect) {
            throw LocalgradException.Argument("the frame is in a buffer that is not direct; use ByteBuffer.allocateDirect")
        }
        if (width < 0 || height < 0 || rowBytes < 0) {
            throw LocalgradException.Argument("a frame of $width x $height with rows of $rowBytes bytes cannot be")
        }
    }

    /** What it looks like to a network that takes images of [input]: bytes, rows of pixels of channels. */
    internal fun image(input: LongArray): ByteArray {
        val numbers = longArrayOf(
            buffer.position().toLong(),
            buffer.remaining().toLong(),
            width.toLong(),
            height.toLong(),
            rowBytes.toLong(),
            format.ordinal.toLong(),
            rotationDegrees.toLong(),
            fit.ordinal.toLong(),
        )
        return Native.prepareFrame(input, buffer, numbers)
    }

    internal fun samples(input: LongArray, labels: IntArray): Samples = Samples.of(image(input), labels, 1)

    public companion object {
        /** The pixels of a bitmap, which must be `ARGB_8888`, copied once. */
        @JvmStatic
        @JvmOverloads
        public fun of(bitmap: Bitmap, rotationDegrees: Int = 0, fit: Fit = Fit.CROP): Frame {
            if (bitmap.config != Bitmap.Config.ARGB_8888) {
                throw LocalgradException.Argument("the bitmap is ${bitmap.config}; copy it to ARGB_8888 first")
            }
            val buffer = ByteBuffer.allocateDirect(bitmap.rowBytes * bitmap.height)
            bitmap.copyPixelsToBuffer(buffer)
            buffer.rewind()
            // So they lie in memory, whatever the name says.
            val format = FrameFormat.RGBA
            return Frame(buffer, bitmap.width, bitmap.height, format, bitmap.rowBytes, rotationDegrees, fit)
        }
    }
}
