package org.localgrad.sample

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView

/** Shows what was learnt in the background, and asks for more. */
class MainActivity : Activity() {
    private lateinit var diary: TextView

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        diary = TextView(this)
        val begin = Button(this).apply {
            text = "Learn while it charges"
            setOnClickListener {
                TrainingJob.schedule(this@MainActivity)
                show()
            }
        }
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            addView(begin)
            addView(diary)
        })
    }

    override fun onResume() {
        super.onResume()
        show()
    }

    private fun show() {
        diary.text = Diary.read(this)
    }
}
