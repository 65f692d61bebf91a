package androidx.test.platform.app

import android.app.Instrumentation
import android.os.Bundle

/** Where Robolectric leaves its instrumentation. */
public object InstrumentationRegistry {
    private var registered: Instrumentation? = null

    /** The instrumentation of the test that runs. */
    @JvmStatic
    public fun getInstrumentation(): Instrumentation = checkNotNull(registered) { "no test runs under Robolectric" }

    /** Called before and after each test. */
    @JvmStatic
    @Suppress("UNUSED_PARAMETER") // the arguments of a test runner, of which there are none
    public fun registerInstance(instrumentation: Instrumentation?, arguments: Bundle?) {
        registered = instrumentation
    }
}
