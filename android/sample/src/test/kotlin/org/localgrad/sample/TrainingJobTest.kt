package org.localgrad.sample

import android.app.Application
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import android.os.BatteryManager
import android.os.PowerManager
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.localgrad.LocalgradException
import org.localgrad.PauseReason
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadow.api.Shadow

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class TrainingJobTest {
    private val app: Application = RuntimeEnvironment.getApplication()
    private val power = app.getSystemService(Context.POWER_SERVICE) as PowerManager
    private val battery = app.getSystemService(Context.BATTERY_SERVICE) as BatteryManager
    private val parameters: JobParameters = Shadow.newInstanceOf(JobParameters::class.java)

    @Before
    fun charge() {
        shadowOf(battery).setIsCharging(true)
        shadowOf(power).setCurrentThermalStatus(PowerManager.THERMAL_STATUS_NONE)
    }

    private fun start(): TrainingJob {
        val job = Robolectric.buildService(TrainingJob::class.java).create().get()
        assertTrue(job.onStartJob(parameters))
        return job
    }

    /** Waits for another thread; a minute is for a machine that is busy with other things. */
    private fun waitFor(what: String, isSo: () -> Boolean) {
        val end = System.nanoTime() + 60_000_000_000
        while (!isSo()) {
            assertTrue("$what did not come; the diary: ${Diary.read(app)}", System.nanoTime() < end)
            Thread.sleep(5)
        }
    }

    private fun finish(job: TrainingJob) {
        waitFor("the end") { shadowOf(job).isJobFinished }
        job.onDestroy()
    }

    @Test
    fun `it asks for time while the device charges and is idle`() {
        assertTrue(TrainingJob.schedule(app))
        val scheduler = app.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler
        val job = scheduler.allPendingJobs.single()
        assertTrue(job.isRequireCharging && job.isRequireDeviceIdle && job.isPersisted)
    }

    @Test
    fun `what the system interrupts goes on the next day, to the end`() = runBlocking<Unit> {
        val first = start()
        waitFor("a checkpoint") { Lesson.directory(app).list().orEmpty().isNotEmpty() }
        assertTrue(first.onStopJob(parameters))
        waitFor("the end of the block") { !first.isAtWork }
        first.onDestroy()
        assertFalse(shadowOf(first).isJobFinished)
        assertTrue(Diary.read(app).contains("stopped: background"))
        val reached = Lesson.open(app).use { trainer ->
            assertTrue(trainer.isResumed)
            trainer.info.steps
        }
        val second = start()
        finish(second)
        assertFalse(shadowOf(second).isRescheduleNeeded)
        assertTrue(Diary.read(app), Diary.read(app).contains("DONE"))
        Lesson.open(app).use { trainer ->
            assertTrue(trainer.isResumed && trainer.info.steps > reached)
            val accuracy = trainer.evaluate { number -> if (number < 4) Lesson.pictures.samples(number) else null }.accuracy
            assertTrue("$accuracy", accuracy > 0.9)
        }
    }

    @Test
    fun `it waits for the charger, and says so`() {
        shadowOf(battery).setIsCharging(false)
        val job = start()
        waitFor("the pause") { Diary.read(app).contains("paused: the battery is low or does not charge") }
        shadowOf(battery).setIsCharging(true)
        finish(job)
        assertTrue(Diary.read(app), Diary.read(app).contains("goes on") && Diary.read(app).contains("DONE"))
    }

    @Test
    fun `heat makes it work less, or not at all`() {
        val found = listOf(
            PowerManager.THERMAL_STATUS_NONE,
            PowerManager.THERMAL_STATUS_LIGHT,
            PowerManager.THERMAL_STATUS_MODERATE,
            PowerManager.THERMAL_STATUS_SEVERE,
        ).map { status ->
            shadowOf(power).setCurrentThermalStatus(status)
            Conditions.of(app).workFraction
        }
        assertEquals(listOf(1.0, 0.5, 0.25, 0.0), found)
        assertEquals(PauseReason.THERMAL, Conditions.of(app).reason)
        Lesson.open(app).use { trainer ->
            TrainingJob.apply(trainer, Conditions(0.5, PauseReason.THERMAL))
            assertEquals(0.5, trainer.workFraction, 0.0)
            TrainingJob.apply(trainer, Conditions(1.0, null))
            assertEquals(1.0, trainer.workFraction, 0.0)
        }
    }

    @Test
    fun `a bitmap is predicted`() = runBlocking<Unit> {
        val bitmap = Bitmap.createBitmap(40, 30, Bitmap.Config.ARGB_8888)
        bitmap.eraseColor(Color.RED)
        Lesson.open(app).use { trainer ->
            val found = trainer.predict(bitmap)
            assertEquals(Lesson.classes.toSet(), found.map { it.name }.toSet())
            val small = Bitmap.createBitmap(4, 4, Bitmap.Config.RGB_565)
            val refused = runCatching { trainer.predict(small) }.exceptionOrNull()
            assertTrue("$refused", refused is LocalgradException.Argument)
        }
    }

    @Test
    fun `the screen shows the diary`() {
        Diary.write(app, "a line of the diary")
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        val texts = ArrayList<android.view.View>()
        activity.window.decorView.findViewsWithText(texts, "a line of the diary", android.view.View.FIND_VIEWS_WITH_TEXT)
        assertEquals(1, texts.size)
    }
}
