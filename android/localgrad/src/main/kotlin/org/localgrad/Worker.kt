package org.localgrad

import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.ThreadFactory
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/**
 * A trainer's own thread, at background priority: started by the first call that needs it, gone a while after the last.
 * It knows nothing of its trainer, so that one that is forgotten can be found out.
 */
internal class Worker {
    private val threads = Threads()
    private val executor = ThreadPoolExecutor(1, 1, IDLE_SECONDS, TimeUnit.SECONDS, LinkedBlockingQueue(), threads)
        .apply { allowCoreThreadTimeOut(true) }
    private val dispatcher = executor.asCoroutineDispatcher()

    /**
     * Does [work] on the thread. A caller that is cancelled meanwhile calls [cancel], waits until [work] has ended, and
     * calls [after].
     */
    suspend fun <T> run(cancel: () -> Unit, work: () -> T, after: () -> Unit): T = coroutineScope {
        val running = async(dispatcher) { work() }
        try {
            running.await()
        } catch (cancelled: CancellationException) {
            withContext(NonCancellable) {
                cancel()
                running.join()
                after()
            }
            // A closed thread takes no work, which looks like a cancel from here.
            ensureActive()
            throw if (executor.isShutdown) closed() else cancelled
        }
    }

    /** The same for a caller that waits, and may be interrupted. */
    fun <T> await(cancel: () -> Unit, work: Callable<T>, after: () -> Unit): T {
        // From a callback: the native side says that the trainer is at work.
        if (threads.isCurrent()) return work.call()
        val task = FutureTask(work)
        try {
            executor.execute(task)
        } catch (_: RejectedExecutionException) {
            throw closed()
        }
        return try {
            task.get()
        } catch (interrupt: InterruptedException) {
            cancel()
            outlast(task)
            after()
            throw interrupt
        } catch (failure: ExecutionException) {
            throw failure.cause ?: failure
        }
    }

    private fun outlast(task: FutureTask<*>) {
        while (!task.isDone) {
            try {
                task.get()
            } catch (_: InterruptedException) {
                // The first one is thrown; the task ends soon.
            } catch (_: ExecutionException) {
                // The interrupt is what the caller hears of.
            }
        }
    }

    /** Lets the work at hand end, and takes no more. */
    fun close() {
        executor.shutdown()
    }

    private class Threads : ThreadFactory {
        @Volatile
        private var current: Thread? = null

        fun isCurrent(): Boolean = Thread.currentThread() === current

        override fun newThread(work: Runnable): Thread {
            val thread = Thread({
                Platform.lowerPriority()
                work.run()
            }, "localgrad")
            thread.isDaemon = true
            current = thread
            return thread
        }
    }

    companion object {
        private const val IDLE_SECONDS = 2L

        fun closed(): LocalgradException = LocalgradException.Closed("the trainer was closed; make another one")
    }
}
