package androidx.test.internal.runner.lifecycle

import android.app.Activity
import android.app.Application
import androidx.test.runner.lifecycle.ActivityLifecycleMonitor
import androidx.test.runner.lifecycle.ApplicationLifecycleMonitor
import androidx.test.runner.lifecycle.ApplicationStage
import androidx.test.runner.lifecycle.Stage
import java.util.WeakHashMap

/** Remembers the stage of each activity. */
public class ActivityLifecycleMonitorImpl : ActivityLifecycleMonitor {
    private val stages = WeakHashMap<Activity, Stage>()

    override fun getLifecycleStageOf(activity: Activity): Stage = stages[activity] ?: Stage.PRE_ON_CREATE

    /** `activity` has come to `stage`. */
    public fun signalLifecycleChange(stage: Stage, activity: Activity) {
        stages[activity] = stage
    }
}

/** Is told of the application's stages, which nobody looks at here. */
public class ApplicationLifecycleMonitorImpl : ApplicationLifecycleMonitor {
    /** `application` has come to `stage`. */
    @Suppress("UNUSED_PARAMETER")
    public fun signalLifecycleChange(application: Application?, stage: ApplicationStage?) {
    }
}
