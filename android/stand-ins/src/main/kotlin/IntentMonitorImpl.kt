package androidx.test.internal.runner.intent

import android.content.Intent
import androidx.test.runner.intent.IntentMonitor

/** Is told of intents, which nobody looks at here. */
public class IntentMonitorImpl : IntentMonitor {
    /** An activity is started by `intent`. */
    @Suppress("UNUSED_PARAMETER")
    public fun signalIntent(intent: Intent?) {
    }
}
