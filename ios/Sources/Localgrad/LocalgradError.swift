// What can go wrong, and how the C library's answers become it.

import CLocalgrad
import Foundation

/// Why something was not done. Every case carries one sentence that says what was wrong and what to do.
///
/// The cases follow `lg_status` of the C header. After an error nothing was changed, unless the function says otherwise.
public enum LocalgradError: Error, Sendable {
  /// A number, a text or an image that means nothing.
  case argument(String)
  /// The object was closed before.
  case closed(String)
  /// The trainer is at work in another call.
  case busy(String)
  /// A configuration that cannot work; nothing was started.
  case configuration(String)
  /// Nothing keeps to the memory budget; `least` would do.
  case budget(least: Bytes, String)
  /// Shapes that do not fit each other.
  case shape(String)
  /// A file or a state that is not what it should be.
  case format(String)
  /// The system refused a file operation.
  case files(String)
  /// The device failed, or threads could not be started.
  case device(String)
  /// A loss that is not a finite number.
  case notFinite(String)
  /// The task or the trainer was cancelled.
  case cancelled(String)
  /// The trainer is not in a state for this: a step is half done, or an error left it so.
  case state(String)
  /// A source of samples failed with an error of its own.
  case source(any Error, String)
  /// The process was forked from the one that the object belongs to.
  case forked(String)
  /// A mistake inside the library; please report it. The object can only be closed.
  case `internal`(String)
  /// A status that this package does not know.
  case unknown(status: Int32, String)

  /// The sentence.
  public var message: String {
    switch self {
    case .argument(let text), .closed(let text), .busy(let text), .configuration(let text), .budget(_, let text),
      .shape(let text), .format(let text), .files(let text), .device(let text), .notFinite(let text),
      .cancelled(let text), .state(let text), .source(_, let text), .forked(let text), .internal(let text),
      .unknown(_, let text):
      return text
    }
  }
}

extension LocalgradError: CustomStringConvertible, LocalizedError {
  /// The sentence.
  public var description: String { message }

  /// The sentence.
  public var errorDescription: String? { message }
}

/// Calls the C library with an error object of this call's own, and throws what it reports.
func check(_ name: String = "trainer", _ call: (OpaquePointer?) -> Int32) throws(LocalgradError) {
  let report = lg_error_create()
  defer { lg_error_destroy(report) }
  let status = call(report)
  if status != 0 {
    throw failure(status, report, name)
  }
}

private func failure(_ status: Int32, _ report: OpaquePointer?, _ name: String) -> LocalgradError {
  let text = String(cString: lg_error_message(report))
  switch status {
  case 1, 11: return .argument(text)
  case 2: return .closed("this \(name) was closed; make another")
  case 3: return .busy("the \(name) is at work in another call; wait until that call has returned")
  case 4:
    let least = lg_error_least_bytes(report)
    return least == 0 ? .configuration(text) : .budget(least: Bytes(least), text)
  case 5: return .shape(text)
  case 6: return .format(text)
  case 7: return .files(text)
  case 8: return .device(text)
  case 9: return .notFinite(text)
  case 10: return .cancelled("the \(name) was cancelled; clearCancel() lets it go on")
  case 12: return .state(text)
  case 13: return .source(CancellationError(), text)
  case 14: return .internal(text)
  case 15: return .forked(text)
  default: return .unknown(status: status, text)
  }
}
