package org.localgrad

import android.os.Process

/** What of Android may be missing: the library also runs on a plain JVM. */
internal object Platform {
    /** Lets the thread that calls yield to those the user waits for; threads that it starts inherit that. */
    fun lowerPriority() {
        try {
            Process.setThreadPriority(Process.THREAD_PRIORITY_BACKGROUND)
        } catch (_: LinkageError) {
            // There is no Android here.
        } catch (_: RuntimeException) {
            // Refused, or only the outline of Android is here.
        }
    }
}
