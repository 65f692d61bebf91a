package androidx.test.runner.lifecycle

import android.app.Activity

/** Where an activity is in its life. */
public enum class Stage { PRE_ON_CREATE, CREATED, STARTED, RESUMED, PAUSED, STOPPED, RESTARTED, DESTROYED }

/** Where an application is in its life. */
public enum class ApplicationStage { PRE_ON_CREATE, CREATED }

/** Knows where activities are in their lives. */
public interface ActivityLifecycleMonitor {
    /** Where `activity` is; before its creation if nothing was heard of it. */
    public fun getLifecycleStageOf(activity: Activity): Stage
}

/** Knows where the application is in its life. */
public interface ApplicationLifecycleMonitor

/** Where the monitor of activities is found. */
public object ActivityLifecycleMonitorRegistry {
    private var registered: ActivityLifecycleMonitor? = null

    /** The monitor of the test that runs. */
    @JvmStatic
    public fun getInstance(): ActivityLifecycleMonitor = checkNotNull(registered) { "no test runs under Robolectric" }

    /** Called before each test. */
    @JvmStatic
    public fun registerInstance(monitor: ActivityLifecycleMonitor?) {
        registered = monitor
    }
}

/** Where the monitor of applications would be found. */
public object ApplicationLifecycleMonitorRegistry {
    /** Nobody asks for it here. */
    @JvmStatic
    @Suppress("UNUSED_PARAMETER")
    public fun registerInstance(monitor: ApplicationLifecycleMonitor?) {
    }
}
