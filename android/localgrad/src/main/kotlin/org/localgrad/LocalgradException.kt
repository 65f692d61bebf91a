package org.localgrad

/** What went wrong, as a type to branch on and a sentence that says what was wrong and what to do. */
public sealed class LocalgradException(message: String) : RuntimeException(message) {
    /** A number, a text or a buffer that means nothing. */
    public class Argument internal constructor(message: String) : LocalgradException(message)

    /** The object was closed. */
    public class Closed internal constructor(message: String) : LocalgradException(message)

    /** The trainer is at work in another call. */
    public class Busy internal constructor(message: String) : LocalgradException(message)

    /** A configuration that cannot work; nothing was started. */
    public class Config internal constructor(message: String) : LocalgradException(message)

    /**
     * A memory budget that nothing keeps to.
     *
     * @property leastBytes the least budget that would do.
     */
    public class Budget internal constructor(message: String, public val leastBytes: Long) :
        LocalgradException(message)

    /** Shapes that do not fit each other. */
    public class Shape internal constructor(message: String) : LocalgradException(message)

    /** A file or a state in memory that is not what it should be. */
    public class Format internal constructor(message: String) : LocalgradException(message)

    /** The system refused a file operation. */
    public class Io internal constructor(message: String) : LocalgradException(message)

    /** The device failed, or threads could not be started. */
    public class Device internal constructor(message: String) : LocalgradException(message)

    /** A loss or a weight that is not a finite number. */
    public class NotFinite internal constructor(message: String) : LocalgradException(message)

    /** [Trainer.cancel] ended the call. */
    public class Cancelled internal constructor(message: String) : LocalgradException(message)

    /** The trainer is not in a state for this: a step is half done, or an error left it so. */
    public class State internal constructor(message: String) : LocalgradException(message)

    /** A source or a watcher failed. */
    public class Callback internal constructor(message: String) : LocalgradException(message)

    /** A mistake inside the library; please report it. The object can only be closed. */
    public class Internal internal constructor(message: String) : LocalgradException(message)

    internal companion object {
        /** The exception of a status of the C header; [leastBytes] is negative where no budget was refused. */
        @JvmStatic
        fun of(status: Int, message: String, leastBytes: Long): LocalgradException = when {
            leastBytes >= 0 -> Budget(message, leastBytes)
            status == 1 || status == 11 -> Argument(message)
            status == 2 -> Closed(message)
            status == 3 -> Busy(message)
            status == 4 -> Config(message)
            status == 5 -> Shape(message)
            status == 6 -> Format(message)
            status == 7 -> Io(message)
            status == 8 -> Device(message)
            status == 9 -> NotFinite(message)
            status == 10 -> Cancelled(message)
            status == 12 -> State(message)
            status == 13 -> Callback(message)
            else -> Internal(message)
        }
    }
}
