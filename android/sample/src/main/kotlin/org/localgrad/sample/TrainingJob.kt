package org.localgrad.sample

import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.app.job.JobService
import android.content.ComponentName
import android.content.Context
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import org.localgrad.Event
import org.localgrad.LocalgradException
import org.localgrad.PauseReason
import org.localgrad.Reason
import org.localgrad.Trainer
import org.localgrad.Until

/**
 * Trains a slice while the device charges and nobody uses it. What a slice leaves goes on with the next one, today or
 * tomorrow; a kill costs what was done since the last checkpoint.
 */
class TrainingJob : JobService() {
    private val scope = CoroutineScope(Dispatchers.Default)
    private var slice: Job? = null

    /** Whether a slice has not yet come to its end. */
    internal val isAtWork: Boolean get() = slice?.isCompleted == false

    override fun onStartJob(parameters: JobParameters): Boolean {
        slice = scope.launch {
            val isThrough = try {
                alone.withLock { train() }
            } catch (failure: LocalgradException) {
                Diary.write(this@TrainingJob, failure.message.orEmpty())
                true
            }
            jobFinished(parameters, !isThrough)
        }
        return true
    }

    /** The system wants its time back: training stops between two blocks. */
    override fun onStopJob(parameters: JobParameters): Boolean {
        Diary.write(this, "stopped: ${words(PauseReason.BACKGROUND)}")
        slice?.cancel()
        return true
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    /** A slice of training; whether there is nothing left to learn. */
    private suspend fun train(): Boolean = Lesson.open(this).use { trainer ->
        coroutineScope {
            val watch = launch { follow(trainer) }
            val tell = launch(start = CoroutineStart.UNDISPATCHED) { trainer.events.collect(::tell) }
            val result = trainer.train(Until.epochs(Lesson.EPOCHS), SLICE)
            watch.cancel()
            tell.cancel()
            Diary.write(this@TrainingJob, "${result.steps} steps, loss ${result.loss}: ${result.reason}")
            result.reason == Reason.DONE
        }
    }

    /** Works as much as the device allows. */
    private suspend fun follow(trainer: Trainer) {
        while (true) {
            apply(trainer, Conditions.of(this))
            delay(CHECK_MILLIS)
        }
    }

    private fun tell(event: Event) {
        when (event) {
            is Event.Paused -> Diary.write(this, "paused: ${event.message}")
            is Event.Resumed -> Diary.write(this, "goes on")
            is Event.Pace -> Diary.write(this, "works ${event.workFraction} of the time: ${event.message}")
            is Event.Warning -> Diary.write(this, event.message)
            else -> Unit
        }
    }

    internal companion object {
        private const val ID = 1
        private const val CHECK_MILLIS = 1_000L

        /** A slice that was stopped ends with its block; the next one waits for that. */
        private val alone = Mutex()

        /** Less than the system lets a job run. */
        private val SLICE = 5.minutes

        /** Lets the trainer pause, go slower or go on. */
        fun apply(trainer: Trainer, conditions: Conditions) {
            if (conditions.workFraction == 0.0) {
                trainer.pause(conditions.reason ?: PauseReason.USER)
                return
            }
            if (trainer.workFraction != conditions.workFraction) {
                trainer.setWorkFraction(conditions.workFraction, conditions.reason ?: PauseReason.USER)
            }
            trainer.resume()
        }

        fun words(reason: PauseReason): String = reason.name.lowercase()

        /** Asks the system for time, whenever the device charges and is idle. */
        fun schedule(context: Context): Boolean {
            val job = JobInfo.Builder(ID, ComponentName(context, TrainingJob::class.java))
                .setRequiresCharging(true)
                .setRequiresDeviceIdle(true)
                .setPersisted(true)
                .build()
            val scheduler = context.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler
            return scheduler.schedule(job) == JobScheduler.RESULT_SUCCESS
        }
    }
}
