// What the library is, and what it has in use.

import CLocalgrad

/// The library that trains, as it was built.
public enum Library {
  /// Its version, such as "0.1.0".
  public static var version: String { String(cString: lg_version()) }

  /// How it was built and what it found, such as "arm64-ios cpu metal simd=Neon release".
  public static var buildOptions: String { String(cString: lg_build_options()) }

  /// The names of the models that ``Network/init(named:input:classes:widths:shortcut:objective:vocabulary:)`` knows.
  public static var models: [String] {
    (0..<lg_model_count()).compactMap { lg_model_name($0).map { String(cString: $0) } }
  }

  /// A device that this build knows.
  public struct Device: Sendable, Hashable {
    /// What ``TrainerConfiguration/device`` takes: "cpu", "metal".
    public let name: String
    /// What it is, or why it cannot be used.
    public let description: String
    /// Whether it can be used.
    public let isAvailable: Bool
  }

  /// Every device that this build knows, usable or not.
  public static var devices: [Device] {
    var count = 0
    guard lg_device_count(&count, nil) == 0 else { return [] }
    return (0..<count).compactMap { index in
      var device = lg_device()
      device.struct_size = MemoryLayout<lg_device>.size
      guard lg_device_get(index, &device, nil) == 0 else { return nil }
      return Device(
        name: fixedText(device.name), description: fixedText(device.description), isAvailable: device.available == 1)
    }
  }

  /// Bytes that the library has in use, and the most that were in use at one time since the process began or since
  /// ``resetPeakMemory()``.
  public static var memory: (live: Bytes, peak: Bytes) {
    var (live, peak) = (0, 0)
    _ = lg_memory(&live, &peak, nil)
    return (Bytes(live), Bytes(peak))
  }

  /// Lets the peak begin again at what is in use.
  public static func resetPeakMemory() { lg_memory_reset_peak() }

  /// How much a message matters.
  public enum LogLevel: Int32, Sendable {
    /// What failed.
    case error = 1
    /// What went wrong although the call went on.
    case warning = 2
    /// What is worth knowing.
    case info = 3
    /// For finding mistakes.
    case debug = 4
  }

  /// Sends messages of this level and more important ones to `sink`, on any thread; nil sends them nowhere, which is how
  /// the library starts. Not to be called from inside a sink.
  public static func setLog(_ level: LogLevel = .info, _ sink: (@Sendable (LogLevel, String) -> Void)?) {
    logSink.use { before in
      let box = sink.map(LogSink.init)
      let pointer = box.map { Unmanaged.passUnretained($0).toOpaque() }
      // When the call returns, nobody is inside the sink before, which can go.
      _ = lg_set_log(box == nil ? nil : passOn, pointer, level.rawValue, nil)
      before = box
    }
  }
}

private final class LogSink: Sendable {
  let take: @Sendable (Library.LogLevel, String) -> Void

  init(_ take: @escaping @Sendable (Library.LogLevel, String) -> Void) {
    self.take = take
  }
}

private let logSink = Locked<LogSink?>(nil)

private func passOn(_ pointer: UnsafeMutableRawPointer?, _ level: Int32, _ text: UnsafePointer<CChar>?) {
  guard let pointer, let text else { return }
  let sink = Unmanaged<LogSink>.fromOpaque(pointer).takeUnretainedValue()
  sink.take(Library.LogLevel(rawValue: level) ?? .debug, String(cString: text))
}

/// The text in an array of a C struct, up to its zero byte.
func fixedText<Characters>(_ characters: Characters) -> String {
  withUnsafeBytes(of: characters) { bytes in
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}
