// What the system says of heat and power.

import Foundation

extension Conditions {
  /// As they are at this moment.
  static var current: Conditions {
    let process = ProcessInfo.processInfo
    let heat: Heat =
      switch process.thermalState {
      case .nominal, .fair: .fine
      case .serious: .warm
      case .critical: .hot
      @unknown default: .warm
      }
    return Conditions(heat: heat, savesPower: process.isLowPowerModeEnabled)
  }

  /// As they are, and each time they change.
  static func stream() -> AsyncStream<Conditions> {
    AsyncStream { continuation in
      continuation.yield(.current)
      let names = [ProcessInfo.thermalStateDidChangeNotification, .NSProcessInfoPowerStateDidChange]
      let tasks = names.map { name in
        Task {
          for await _ in NotificationCenter.default.notifications(named: name) { continuation.yield(.current) }
        }
      }
      continuation.onTermination = { _ in tasks.forEach { $0.cancel() } }
    }
  }
}
