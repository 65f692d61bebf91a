package org.localgrad.sample

import android.content.Context
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import org.localgrad.PauseReason

/**
 * What the device allows now.
 *
 * @property workFraction the share of the time to work; 0 is not at all.
 * @property reason why it is less than 1, if it is.
 */
internal class Conditions(val workFraction: Double, val reason: PauseReason?) {
    companion object {
        /** Asks the system. */
        fun of(context: Context): Conditions {
            val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
            val battery = context.getSystemService(Context.BATTERY_SERVICE) as BatteryManager
            val heat = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) power.currentThermalStatus else 0
            return when {
                !battery.isCharging || power.isPowerSaveMode -> Conditions(0.0, PauseReason.BATTERY)
                heat >= PowerManager.THERMAL_STATUS_SEVERE -> Conditions(0.0, PauseReason.THERMAL)
                heat >= PowerManager.THERMAL_STATUS_MODERATE -> Conditions(0.25, PauseReason.THERMAL)
                heat >= PowerManager.THERMAL_STATUS_LIGHT -> Conditions(0.5, PauseReason.THERMAL)
                else -> Conditions(1.0, null)
            }
        }
    }
}
