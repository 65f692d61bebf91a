// Images with their labels.

import CLocalgrad
import Foundation

/// Images with their labels, one image behind the other without gaps.
///
/// Nothing is copied when samples are made or handed on: `Data` shares its bytes, and lent memory stays where it is.
public struct Samples: Sendable {
  /// The order of the numbers in an image.
  public enum Layout: Int32, Sendable {
    /// Rows of pixels of channels, as in most image files.
    case nhwc = 0
    /// Planes, one a channel, as in PyTorch.
    case nchw = 1
  }

  enum Pixels: Sendable {
    case bytes(Data)
    case floats([Float])
    case lent(Lent)
  }

  struct Lent: @unchecked Sendable {
    let memory: UnsafeRawBufferPointer
    let areFloats: Bool
    let owner: AnyObject?
  }

  let pixels: Pixels
  /// The order of the numbers.
  public let layout: Layout
  /// How many images.
  public let count: Int
  /// The class of each, from 0; empty where they have none.
  public let labels: [Int]

  /// Images of bytes, each of which stands for byte / 255, with the class of each.
  public init(bytes: Data, labels: [Int], layout: Layout = .nhwc) {
    self.init(.bytes(bytes), labels.count, labels, layout)
  }

  /// Images of bytes without classes, to predict.
  public init(bytes: Data, count: Int, layout: Layout = .nhwc) {
    self.init(.bytes(bytes), count, [], layout)
  }

  /// Images of floats, which are taken as they are, with the class of each. All must be finite.
  public init(floats: [Float], labels: [Int], layout: Layout = .nhwc) {
    self.init(.floats(floats), labels.count, labels, layout)
  }

  /// Images of floats without classes, to predict.
  public init(floats: [Float], count: Int, layout: Layout = .nhwc) {
    self.init(.floats(floats), count, [], layout)
  }

  /// Images in memory that stays as it is for as long as `owner` lives, such as a mapped file. Without an owner the caller
  /// sees to it that the memory outlives these samples. `areFloats` says that numbers are 32-bit floats, not bytes.
  public init(
    lending memory: UnsafeRawBufferPointer, owner: (AnyObject & Sendable)? = nil, count: Int, labels: [Int] = [],
    areFloats: Bool = false, layout: Layout = .nhwc
  ) {
    self.init(.lent(Lent(memory: memory, areFloats: areFloats, owner: owner)), count, labels, layout)
  }

  private init(_ pixels: Pixels, _ count: Int, _ labels: [Int], _ layout: Layout) {
    (self.pixels, self.count, self.labels, self.layout) = (pixels, count, labels, layout)
  }

  /// Lends these samples, with their checked labels, to C for the time of `body`.
  func lend(_ labels: [UInt32], _ body: (UnsafePointer<lg_samples>) -> Int32) -> Int32 {
    labels.withUnsafeBufferPointer { labels in
      switch pixels {
      case .bytes(let data):
        return data.withUnsafeBytes { lend($0, false, labels, body) }
      case .floats(let floats):
        return floats.withUnsafeBytes { lend($0, true, labels, body) }
      case .lent(let lent):
        return lend(lent.memory, lent.areFloats, labels, body)
      }
    }
  }

  private func lend(
    _ memory: UnsafeRawBufferPointer, _ areFloats: Bool, _ labels: UnsafeBufferPointer<UInt32>,
    _ body: (UnsafePointer<lg_samples>) -> Int32
  ) -> Int32 {
    var samples = inC(memory, areFloats, labels)
    return body(&samples)
  }

  func inC(
    _ memory: UnsafeRawBufferPointer, _ areFloats: Bool, _ labels: UnsafeBufferPointer<UInt32>
  ) -> lg_samples {
    var samples = lg_samples()
    samples.struct_size = MemoryLayout<lg_samples>.size
    samples.images = memory.baseAddress
    samples.images_bytes = memory.count
    samples.pixel = areFloats ? 1 : 0
    samples.layout = layout.rawValue
    samples.count = max(count, 0)
    samples.labels = labels.isEmpty ? nil : labels.baseAddress
    return samples
  }

  func checkedLabels() throws(LocalgradError) -> [UInt32] {
    guard count >= 0 else { throw .argument("\(count) images are none; count from 0") }
    guard labels.isEmpty || labels.count == count else {
      throw .argument("there are \(labels.count) labels for \(count) images; give one for each")
    }
    for (sample, label) in labels.enumerated() where UInt32(exactly: label) == nil {
      throw .argument("sample \(sample) has label \(label), which is no class; they count from 0")
    }
    return labels.map { UInt32($0) }
  }
}

/// Samples whose memory stays in its place until this object goes: what a source lends to the library.
final class PinnedSamples {
  let samples: lg_samples
  private let labels: UnsafeMutableBufferPointer<UInt32>
  /// What holds the images.
  private let owner: AnyObject?
  private var copy: UnsafeMutableRawBufferPointer?

  init(_ source: Samples) throws(LocalgradError) {
    let checked = try source.checkedLabels()
    labels = .allocate(capacity: checked.count)
    _ = labels.initialize(from: checked)
    let (memory, areFloats): (UnsafeRawBufferPointer, Bool)
    switch source.pixels {
    case .bytes(let data):
      // Unlike those of Data, the bytes of NSData have an address of their own.
      #if canImport(ObjectiveC)
        let object = data as NSData
      #else
        let object = data._bridgeToObjectiveC()
      #endif
      (owner, memory) = (object, UnsafeRawBufferPointer(start: object.bytes, count: object.length))
      areFloats = false
    case .floats(let floats):
      let place = UnsafeMutableRawBufferPointer.allocate(byteCount: floats.count * 4, alignment: 16)
      floats.withUnsafeBytes { place.copyMemory(from: $0) }
      (owner, copy, memory, areFloats) = (nil, place, UnsafeRawBufferPointer(place), true)
    case .lent(let lent):
      (owner, memory, areFloats) = (lent.owner, lent.memory, lent.areFloats)
    }
    samples = source.inC(memory, areFloats, UnsafeBufferPointer(labels))
  }

  deinit {
    labels.deallocate()
    copy?.deallocate()
  }
}
