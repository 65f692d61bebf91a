package org.localgrad

import java.lang.ref.PhantomReference
import java.lang.ref.ReferenceQueue
import java.util.Collections
import java.util.concurrent.atomic.AtomicBoolean

/**
 * A thing of the native side that belongs to one object of this side. It is freed once: when that object is closed, or
 * when nobody can reach it any more. [free] must not lead to that object.
 */
internal class Owned(owner: Any, private val name: String, private val isMissed: Boolean, private val free: () -> Unit) {
    private val isOpen = AtomicBoolean(true)
    private val made = if (isMissed && Localgrad.isLogged) Throwable("made here") else null

    private val watch = Forgotten.watch(owner, this)

    fun close() {
        if (!isOpen.compareAndSet(true, false)) return
        Forgotten.leave(watch)
        free()
    }

    /** The owner is gone. */
    private fun forgotten() {
        if (!isOpen.compareAndSet(true, false)) return
        free()
        if (isMissed) {
            val place = made?.stackTrace?.firstOrNull { !it.className.startsWith("org.localgrad.Owned") }
            val where = place?.let { ", at $it" }.orEmpty()
            Localgrad.warn("$name was made$where and never closed; it is closed now that nobody can reach it. Use `use`")
        }
    }

    /** Looks after owners until they are gone. (`java.lang.ref.Cleaner` comes with Android 13.) */
    private object Forgotten {
        class Watch(owner: Any, val owned: Owned, queue: ReferenceQueue<Any>) :
            PhantomReference<Any>(owner, queue)

        private val queue = ReferenceQueue<Any>()

        /** A reference that is itself forgotten tells nobody. */
        private val watches = Collections.synchronizedSet(HashSet<Watch>())

        init {
            val cleaner = Thread({ while (true) clean() }, "localgrad-cleaner")
            cleaner.isDaemon = true
            cleaner.start()
        }

        fun watch(owner: Any, owned: Owned): Watch = Watch(owner, owned, queue).also { watches.add(it) }

        /** The owner was closed in time. */
        fun leave(watch: Watch) {
            watch.clear()
            watches.remove(watch)
        }

        private fun clean() {
            try {
                val watch = queue.remove() as? Watch ?: return
                watches.remove(watch)
                watch.owned.forgotten()
            } catch (_: InterruptedException) {
                // It goes on for as long as the process.
            }
        }
    }
}
