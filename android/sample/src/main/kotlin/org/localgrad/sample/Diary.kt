package org.localgrad.sample

import android.content.Context
import java.io.File

/** What happened in the background, for the person who looks in later. */
internal object Diary {
    private fun file(context: Context) = File(context.noBackupFilesDir, "diary")

    @Synchronized
    fun write(context: Context, line: String) {
        file(context).appendText("$line\n")
    }

    @Synchronized
    fun read(context: Context): String = file(context).let { if (it.exists()) it.readText() else "" }
}
