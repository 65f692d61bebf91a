package org.localgrad

import java.io.File
import org.junit.Assert.assertTrue
import org.junit.Test

class MemoryTest {
    private fun settle() {
        // What a collection frees may lead to more that another one frees.
        for (round in 0 until 6) {
            System.gc()
            Thread.sleep(50)
        }
    }

    /** Bytes of the process that are in memory. */
    private fun residentBytes(): Long {
        settle()
        return File("/proc/self/statm").readText().split(' ')[1].toLong() * 4096
    }

    private fun heapBytes(): Long {
        settle()
        return Runtime.getRuntime().let { it.totalMemory() - it.freeMemory() }
    }

    private class Level(val native: Long, val heap: Long, val resident: Long)

    private fun level() = Level(Localgrad.liveBytes, heapBytes(), residentBytes())

    private fun assertSame(what: String, before: Level, after: Level) {
        val grown = listOf(after.native - before.native, after.heap - before.heap, after.resident - before.resident)
        println("$what: native ${grown[0]}, heap ${grown[1]}, resident ${grown[2]} bytes more")
        assertTrue("$what: $grown", grown[0] <= 64 * 1024 && grown[1] <= 1.mebibytes && grown[2] <= 16.mebibytes)
    }

    @Test
    fun `ten thousand steps need no more memory than the first`() {
        Trainer(Pictures.tinyNetwork(), Pictures.config { batch = 1 }).use { trainer ->
            val samples = Pictures.samples(0, 1)
            trainer.source = Source { samples }
            fun train(steps: Long) = trainer.blocking.train(TrainOptions().apply {
                until = Until.steps(steps)
                watcher = Watcher { true }
            })
            train(1_000)
            val before = level()
            train(11_000)
            assertSame("10,000 steps", before, level())
        }
    }

    @Test
    fun `a thousand trainers made and closed leave nothing behind`() {
        fun make(count: Int) = repeat(count) {
            Pictures.tinyNetwork().use { network ->
                Trainer(network, Pictures.config { batch = 1 }).use { trainer ->
                    trainer.source = Source { Pictures.samples(0, 1) }
                    if (it % 20 == 0) trainer.blocking.step()
                }
            }
        }
        make(100)
        val before = level()
        make(1_000)
        assertSame("1,000 trainers", before, level())
    }
}
