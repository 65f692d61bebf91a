package org.localgrad

import java.nio.ByteBuffer

/**
 * What stays as it is of a network, passed once by each showing of each example: the features that it makes of them. Used on
 * the trainer's thread alone, but for [passes].
 */
internal class KeptFeatures(private val engine: Engine, private val options: PersonalizerOptions) {
    /** Bytes of a row; 0 where nothing stays as it is. */
    private val rowBytes = try {
        engine.featureCount().toLong() * Float.SIZE_BYTES
    } catch (_: LocalgradException.Config) {
        0
    }
    private val variants = if (options.mirror) listOf(false, true) else listOf(false)
    private val kept = HashMap<Showing, ByteBuffer>()
    private var weightsSet = engine.weightsSet

    /** Showings that have passed. */
    @Volatile
    var passes = 0L
        private set

    /** Whether there is anything to keep, and room for all showings of so many examples. */
    fun haveRoom(examples: Int): Boolean =
        rowBytes > 0 && rowBytes * variants.size * examples <= options.featureMemory

    /** Whether all showings of so many examples have passed. */
    fun areOfAll(examples: Int): Boolean = isFresh() && kept.size == variants.size * examples

    private fun isFresh() = weightsSet == engine.weightsSet

    /** One with room for so many rows. */
    fun buffer(rows: Int): ByteBuffer = ByteBuffer.allocateDirect(Math.toIntExact(rows * rowBytes))

    /** Writes the rows of showings into [room], one behind the other; nothing where one has not passed. */
    fun write(showings: List<Showing>, room: ByteBuffer): Boolean {
        if (!isFresh() || !kept.keys.containsAll(showings)) return false
        room.clear()
        for (showing in showings) room.put(kept.getValue(showing).duplicate())
        room.flip()
        return true
    }

    /** Lets every showing of these examples pass that has not. */
    fun keep(examples: List<Int>, source: ExampleSource) {
        if (!isFresh()) kept.clear()
        weightsSet = engine.weightsSet
        val all = examples.flatMap { example -> variants.map { Showing(example, it) } }
        for (showings in all.filter { it !in kept }.chunked(options.batch)) {
            val images = Samples(source.images(showings), IntArray(0), showings.size)
            val rows = engine.features(images).buffer
            for ((at, showing) in showings.withIndex()) {
                val row = rows.duplicate()
                row.position(Math.toIntExact(at * rowBytes)).limit(Math.toIntExact((at + 1) * rowBytes))
                kept[showing] = row.slice()
            }
            passes += showings.size
        }
    }
}
