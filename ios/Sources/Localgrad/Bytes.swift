// Sizes of memory and files.

import Foundation

/// A number of bytes, such as `.mebibytes(64)`.
public struct Bytes: Sendable, Hashable, Comparable, CustomStringConvertible, ExpressibleByIntegerLiteral {
  /// How many they are.
  public let count: Int

  /// So many bytes.
  public init(_ count: Int) {
    self.count = count
  }

  /// A literal is a number of bytes.
  public init(integerLiteral value: Int) {
    count = value
  }

  /// 1,024 bytes each.
  public static func kibibytes(_ count: Int) -> Bytes { Bytes(count << 10) }

  /// 1,024 kibibytes each.
  public static func mebibytes(_ count: Int) -> Bytes { Bytes(count << 20) }

  /// 1,024 mebibytes each.
  public static func gibibytes(_ count: Int) -> Bytes { Bytes(count << 30) }

  /// Fewer bytes are less.
  public static func < (left: Bytes, right: Bytes) -> Bool { left.count < right.count }

  /// For people: "12.5 MiB".
  public var description: String {
    for (name, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where count >= 1 << shift {
      return String(format: "%.1f %@", Double(count) / Double(1 << shift), name)
    }
    return "\(count) bytes"
  }
}
