package org.localgrad

import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executor
import java.util.concurrent.RejectedExecutionException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch

/**
 * Hands the events of a trainer to everybody who wants them. The ring of the native side is emptied after each step,
 * and many times a second while anybody listens. It knows the trainer's handle alone, so that a trainer that is forgotten
 * can be found out.
 */
internal class Events(private val handle: Long) {
    private class Subscriber(val listener: EventListener?, val deliver: (Event) -> Unit, val end: () -> Unit)

    private val subscribers = CopyOnWriteArrayList<Subscriber>()
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private var pump: Job? = null
    private var isClosed = false
    private val numbers = DoubleArray(NUMBERS)
    private val text = arrayOfNulls<String>(1)
    private var progress = 0f

    /** Every event from the start of a collection on, until the trainer is closed. */
    val flow: Flow<Event> = flow {
        val channel = Channel<Event>(WAITING, BufferOverflow.DROP_OLDEST)
        val subscriber = Subscriber(null, { channel.trySend(it) }, { channel.close() })
        subscribe(subscriber)
        try {
            for (event in channel) emit(event)
        } finally {
            unsubscribe { it === subscriber }
        }
    }

    fun addListener(executor: Executor, listener: EventListener) {
        val deliver = { event: Event ->
            try {
                executor.execute { listener.onEvent(event) }
            } catch (_: RejectedExecutionException) {
                // Its executor has ended: nobody listens there.
            }
        }
        subscribe(Subscriber(listener, deliver) {})
    }

    fun removeListener(listener: EventListener) {
        unsubscribe { it.listener === listener }
    }

    private fun subscribe(subscriber: Subscriber) {
        synchronized(this) {
            if (!isClosed) {
                subscribers.add(subscriber)
                if (pump == null) pump = scope.launch { pump() }
                return
            }
        }
        subscriber.end()
    }

    private fun unsubscribe(which: (Subscriber) -> Boolean) = synchronized(this) {
        subscribers.removeAll { which(it) }
        if (subscribers.isEmpty()) {
            pump?.cancel()
            pump = null
        }
    }

    private suspend fun pump() {
        while (true) {
            drain()
            delay(PUMP_MILLIS)
        }
    }

    /** Delivers what waits, in order. */
    fun drain() {
        if (subscribers.isEmpty()) return
        synchronized(this) {
            try {
                while (!isClosed && Native.poll(handle, numbers, text)) {
                    val event = read() ?: continue
                    for (subscriber in subscribers) subscriber.deliver(event)
                }
            } catch (_: LocalgradException.Closed) {
                // Whoever closed it ends the collections, too.
            }
        }
    }

    /** No more events come. */
    fun close() = synchronized(this) {
        isClosed = true
        for (subscriber in subscribers) subscriber.end()
        subscribers.clear()
        scope.cancel()
    }

    private fun read(): Event? {
        val step = numbers[2].toLong()
        val samples = numbers[3].toLong()
        val loss = numbers[4]
        val accuracy = numbers[5]
        val seconds = numbers[6]
        if (numbers[0].toInt() == 2) progress = numbers[7].toFloat()
        return when (numbers[0].toInt()) {
            1 -> Event.BlockDone(step, progress, numbers[1].toInt(), loss)
            2 -> Event.StepDone(step, progress, samples, loss, accuracy, seconds, numbers[8].toLong())
            3 -> Event.Evaluated(step, progress, Evaluation(samples, accuracy, loss, text[0].orEmpty(), numbers[11]))
            4 -> Event.CheckpointSaved(step, progress, seconds)
            5 -> Event.Warning(step, progress, text[0].orEmpty())
            6 -> Event.Paused(step, progress, reason(), text[0].orEmpty())
            7 -> Event.Resumed(step, progress)
            8 -> Event.Pace(step, progress, numbers[10], reason(), text[0].orEmpty())
            // Of a later native side.
            else -> null
        }
    }

    private fun reason(): PauseReason = PauseReason.entries.getOrElse(numbers[9].toInt()) { PauseReason.USER }

    private companion object {
        /** Numbers of an event. */
        const val NUMBERS = 12

        /** Events that wait for a collector before the oldest is dropped. */
        const val WAITING = 256

        /** Often enough for a person who watches. */
        const val PUMP_MILLIS = 25L
    }
}
