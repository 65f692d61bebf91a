// A value that many threads use, one at a time.

import Foundation

final class Locked<Value>: @unchecked Sendable {
  private var value: Value
  private let lock = NSLock()

  init(_ value: Value) {
    self.value = value
  }

  /// Does `work` on the value while no other thread does.
  func use<Result>(_ work: (inout Value) throws -> Result) rethrows -> Result {
    lock.lock()
    defer { lock.unlock() }
    return try work(&value)
  }
}

/// A handle of the C library: a number that it looks up, so that any thread may hold it, also after it was destroyed.
struct Handle: @unchecked Sendable {
  let pointer: OpaquePointer?
}
