package org.localgrad

/** So many times 1024 bytes. */
public val Int.kibibytes: Long get() = this * 1024L

/** So many times 1024 kibibytes, in bytes. */
public val Int.mebibytes: Long get() = kibibytes * 1024L

/** So many times 1024 mebibytes, in bytes. */
public val Int.gibibytes: Long get() = mebibytes * 1024L
