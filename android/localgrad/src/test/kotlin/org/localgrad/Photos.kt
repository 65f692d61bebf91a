package org.localgrad

import java.io.DataInputStream
import java.io.File
import java.util.zip.GZIPInputStream

/**
 * Photos of ten classes: CIFAR-10 where the system property `localgrad.cifar10` names the directory of its binary version,
 * and else the part of Fashion-MNIST that the program carries.
 *
 * @property steps of 50 that teach a small network the first five classes.
 * @property learned how far beyond chance a small network comes with 20 of them of each class.
 */
internal class Photos private constructor(
    val name: String,
    val names: List<String>,
    val channels: Int,
    val side: Int,
    val steps: Long,
    val learned: Double,
    private val training: List<Pair<ByteArray, Int>>,
    private val test: List<Pair<ByteArray, Int>>,
) {
    /** The share that is right by chance, of five classes. */
    val chance = 0.2

    fun ofClasses(labels: IntRange, isTest: Boolean): List<Pair<ByteArray, Int>> =
        (if (isTest) test else training).filter { it.second in labels }

    /** Test images of five classes, which are counted from 0. */
    fun held(labels: IntRange): Samples = samples(ofClasses(labels, isTest = true), labels.first)

    fun samples(images: List<Pair<ByteArray, Int>>, firstLabel: Int = 0): Samples {
        val bytes = ByteArray(images.sumOf { it.first.size })
        images.forEachIndexed { at, (image, _) -> image.copyInto(bytes, at * image.size) }
        return Samples.of(bytes, IntArray(images.size) { images[it].second - firstLabel })
    }

    companion object {
        fun open(): Photos {
            val cifar = System.getProperty("localgrad.cifar10").orEmpty()
            return if (cifar.isNotEmpty()) cifar(File(cifar)) else fashion(File("../../cli/data"))
        }

        /** Records of a label and three planes; images of rows of pixels. */
        private fun cifar(directory: File): Photos {
            fun records(name: String): List<Pair<ByteArray, Int>> {
                val bytes = File(directory, name).readBytes()
                return (bytes.indices step 3073).map { start ->
                    ByteArray(3072) { bytes[start + 1 + it % 3 * 1024 + it / 3] } to bytes[start].toInt()
                }
            }
            val names =
                listOf("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
            val training = (1..5).flatMap { records("data_batch_$it.bin") }
            return Photos("CIFAR-10", names, 3, 32, 1_500, 0.1, training, records("test_batch.bin"))
        }

        /** IDX files, compressed. */
        private fun fashion(directory: File): Photos {
            fun read(name: String): ByteArray = GZIPInputStream(File(directory, name).inputStream()).use { it.readBytes() }
            fun split(prefix: String): List<Pair<ByteArray, Int>> {
                val images = read("$prefix-images-idx3-ubyte.gz")
                val (count, rows, columns) = DataInputStream(images.inputStream(4, 12)).let { head -> List(3) { head.readInt() } }
                val labels = read("$prefix-labels-idx1-ubyte.gz").drop(8)
                check(images.size == 16 + count * rows * columns && labels.size == count)
                return labels.mapIndexed { at, label ->
                    images.copyOfRange(16 + at * rows * columns, 16 + (at + 1) * rows * columns) to label.toInt()
                }
            }
            val names = listOf(
                "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
            )
            return Photos("Fashion-MNIST", names, 1, 28, 100, 0.4, split("train"), split("t10k"))
        }
    }
}
