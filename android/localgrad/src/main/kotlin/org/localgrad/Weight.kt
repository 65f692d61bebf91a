package org.localgrad

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A weight, or a running statistic, of a network by its name: what devices that learn together send and average.
 *
 * @property bytes its numbers, in the machine's byte order.
 */
public class Weight internal constructor(private val shape: Shape, public val bytes: ByteArray) {
    internal class Shape(
        val name: String,
        val block: Int,
        val isStatistic: Boolean,
        val extents: List<Int>,
        val precision: Precision,
    ) {
        val count: Int get() = extents.fold(1) { product, extent -> product * extent }
    }

    /** Under which it is exported, too. */
    public val name: String get() = shape.name

    /** The local block that it is part of, from 0. */
    public val block: Int get() = shape.block

    /** Whether it is a running statistic of batch norm, which no gradient changes. */
    public val isStatistic: Boolean get() = shape.isStatistic

    /** Its shape, as PyTorch has it. */
    public val extents: List<Int> get() = shape.extents

    /** What its numbers are. */
    public val precision: Precision get() = shape.precision

    /** Its numbers. */
    public fun toFloats(): FloatArray {
        val buffer = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder())
        return FloatArray(shape.count) { if (precision == Precision.F32) buffer.getFloat() else half(buffer.getShort()) }
    }

    /** The same weight with other numbers, in 32 bits. */
    public fun withFloats(numbers: FloatArray): Weight {
        if (numbers.size != shape.count) {
            throw LocalgradException.Shape("$name has ${shape.count} numbers, and ${numbers.size} were given")
        }
        val buffer = ByteBuffer.allocate(numbers.size * Float.SIZE_BYTES).order(ByteOrder.nativeOrder())
        buffer.asFloatBuffer().put(numbers)
        return Weight(Shape(name, block, isStatistic, extents, Precision.F32), buffer.array())
    }

    /** Refuses to be set where [own] is another. */
    internal fun check(own: Shape) {
        if (own.extents != extents) {
            throw LocalgradException.Shape("$name is ${own.extents} here, and $extents was given")
        }
    }

    private companion object {
        /** A number of 16 bits. */
        fun half(bits: Short): Float {
            val exponent = bits.toInt() shr 10 and 31
            val fraction = bits.toInt() and 1023
            val size = when (exponent) {
                0 -> fraction / 16_777_216f
                31 -> if (fraction == 0) Float.POSITIVE_INFINITY else Float.NaN
                else -> Float.fromBits((exponent + 112 shl 23) or (fraction shl 13))
            }
            return if (bits < 0) -size else size
        }
    }
}
