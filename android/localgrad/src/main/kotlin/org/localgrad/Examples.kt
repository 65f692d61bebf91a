package org.localgrad

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.util.zip.CRC32

/** An image with its class or, where it has several labels, with a bit for each. */
internal class Example(val image: ByteArray, val answer: Int)

/**
 * Examples in a file that only grows: first what they are of, then one after the other, each with a checksum, so that
 * one whose writing a kill has cut off is left out. [hasLabels] says that each has any number of [classes].
 */
internal class Examples(
    directory: File,
    classes: List<String>,
    private val input: LongArray,
    private val hasLabels: Boolean,
) {
    private val size = input.fold(1L, Long::times).toInt()
    private val all = ArrayList<Example>()
    private val classCount = classes.size

    /** Answers are below this. */
    private val answers = if (hasLabels) 1 shl classCount else classCount
    private val file: RandomAccessFile

    init {
        try {
            if (!directory.isDirectory && !directory.mkdirs()) throw IOException("$directory cannot be made")
            file = RandomAccessFile(File(directory, "examples"), "rw")
        } catch (failure: IOException) {
            throw LocalgradException.Io("examples cannot be kept: ${failure.message}")
        }
        try {
            read(directory, head(classes))
        } catch (failure: Throwable) {
            file.close()
            throw failure
        }
    }

    private fun head(classes: List<String>): ByteArray {
        val json = Json()
        json.put("input", input.toList())
        if (hasLabels) json.put("objective", "labels")
        for ((index, name) in classes.withIndex()) json.put("class$index", name)
        return json.toString().toByteArray()
    }

    private fun read(directory: File, head: ByteArray) {
        val found = ByteArray(minOf(file.length(), 4L + head.size).toInt()).also { file.readFully(it) }
        val expected = ByteBuffer.allocate(4 + head.size).putInt(head.size).put(head).array()
        // A kill may have come before the first line was whole.
        if (found.size < expected.size && found.contentEquals(expected.copyOf(found.size))) {
            file.setLength(0)
            file.write(expected)
            return
        }
        if (!found.contentEquals(expected)) {
            throw LocalgradException.Config(
                "$directory has examples of other classes or for another network; use the same, or another directory",
            )
        }
        val record = ByteArray(RECORD_BYTES + size)
        while (file.length() - file.filePointer >= record.size) {
            val place = file.filePointer
            file.readFully(record)
            val example = parse(record)
            if (example == null) {
                file.seek(place)
                break
            }
            all.add(example)
        }
        file.setLength(file.filePointer)
    }

    private fun parse(record: ByteArray): Example? {
        val buffer = ByteBuffer.wrap(record)
        val sum = buffer.getInt()
        val answer = buffer.getInt()
        val isWhole = sum == sum(record) && answer in 0 until answers
        return if (isWhole) Example(record.copyOfRange(RECORD_BYTES, record.size), answer) else null
    }

    private fun sum(record: ByteArray): Int = CRC32().apply { update(record, 4, record.size - 4) }.value.toInt()

    @Synchronized
    fun add(image: ByteArray, answer: Int) {
        val record = ByteBuffer.allocate(RECORD_BYTES + size).putInt(0).putInt(answer).put(image).array()
        ByteBuffer.wrap(record).putInt(0, sum(record))
        try {
            file.seek(file.length())
            file.write(record)
            file.fd.sync()
        } catch (failure: IOException) {
            throw LocalgradException.Io("the example cannot be kept: ${failure.message}")
        }
        all.add(Example(image, answer))
    }

    @Synchronized
    fun snapshot(): List<Example> = all.toList()

    @Synchronized
    fun counts(): IntArray = IntArray(classCount) { number ->
        all.count { if (hasLabels) it.answer shr number and 1 == 1 else it.answer == number }
    }

    @Synchronized
    fun close() {
        file.close()
    }

    companion object {
        /** Labels that an answer has bits for. */
        const val MOST_LABELS = 30

        /** Of checksum and answer. */
        private const val RECORD_BYTES = 8
    }
}
