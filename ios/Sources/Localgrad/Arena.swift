// Memory that C reads during one call.

import Foundation

/// Texts and arrays that live as long as this object.
final class Arena {
  private var allocations: [UnsafeMutableRawPointer] = []

  /// The text in UTF-8 with a zero byte at its end; nil for nil.
  func text(_ text: String?) -> UnsafePointer<CChar>? {
    guard let text else { return nil }
    return array(Array(text.utf8CString))
  }

  /// The numbers, one behind the other; nil where there are none.
  func array<Number>(_ numbers: [Number]) -> UnsafePointer<Number>? {
    if numbers.isEmpty { return nil }
    let place = UnsafeMutablePointer<Number>.allocate(capacity: numbers.count)
    place.initialize(from: numbers, count: numbers.count)
    allocations.append(UnsafeMutableRawPointer(place))
    return UnsafePointer(place)
  }

  deinit {
    for place in allocations { place.deallocate() }
  }
}
