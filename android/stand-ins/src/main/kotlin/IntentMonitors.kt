package androidx.test.runner.intent

import android.app.Instrumentation
import android.content.Intent

/** Sees the intents that start activities. */
public interface IntentMonitor

/** Answers intents in place of activities. */
public fun interface IntentStubber {
    /** What the activity would have answered. */
    public fun getActivityResultForIntent(intent: Intent): Instrumentation.ActivityResult?
}

/** Where the monitor would be found. */
public object IntentMonitorRegistry {
    /** Nobody asks for it here. */
    @JvmStatic
    @Suppress("UNUSED_PARAMETER")
    public fun registerInstance(monitor: IntentMonitor?) {
    }
}

/** There is no stubber here. */
public object IntentStubberRegistry {
    /** Whether there is one. */
    @JvmStatic
    public fun isLoaded(): Boolean = false

    /** None. */
    @JvmStatic
    public fun getInstance(): IntentStubber = error("no stubber of intents is loaded")
}
