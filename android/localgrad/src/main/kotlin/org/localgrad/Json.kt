package org.localgrad

/** An object of JSON, written field by field. */
internal class Json {
    private val text = StringBuilder("{")

    private fun name(name: String): StringBuilder {
        if (text.length > 1) text.append(',')
        return quote(name).append(':')
    }

    private fun quote(value: String): StringBuilder {
        text.append('"')
        for (character in value) {
            when {
                character == '"' || character == '\\' -> text.append('\\').append(character)
                character < ' ' -> text.append("\\u").append(character.code.toString(16).padStart(4, '0'))
                else -> text.append(character)
            }
        }
        return text.append('"')
    }

    /** Null is left out. */
    fun put(name: String, value: String?) {
        if (value == null) return
        name(name)
        quote(value)
    }

    fun put(name: String, value: Long) {
        name(name).append(value)
    }

    /** A count, or anything else that is never negative. */
    fun count(name: String, value: Long) {
        if (value < 0) throw LocalgradException.Argument("$name is $value, and cannot be negative")
        put(name, value)
    }

    fun put(name: String, value: Double) {
        if (!value.isFinite()) throw LocalgradException.Argument("$name is $value; give a finite number")
        name(name).append(value)
    }

    fun put(name: String, value: Boolean) {
        name(name).append(value)
    }

    /** Null is left out. */
    fun put(name: String, values: List<Number>?) {
        if (values == null) return
        val strange = values.firstOrNull { !it.toDouble().isFinite() }
        if (strange != null) throw LocalgradException.Argument("$name has $strange; give finite numbers")
        name(name).append(values.joinToString(",", "[", "]"))
    }

    override fun toString(): String = "$text}"
}
