// Where a trainer's samples come from, where none were pushed.

import CLocalgrad
import Foundation

/// Gives the samples of each step.
///
/// Where they are a function of the step's number alone, training that was killed and resumed ends in the same bytes as
/// if it had never stopped. It is asked on the trainer's own thread.
public protocol SampleSource: Sendable {
  /// The samples of the step after `number` others, at most a batch of them; nil where there are no more. What it throws
  /// comes out of ``Trainer/train(until:epochs:deadline:watch:)``.
  func samples(_ number: Int) throws -> Samples?

  /// Steps in which every sample comes once; nil where that means nothing.
  var stepsPerEpoch: Int? { get }
}

extension SampleSource {
  /// No number of its own.
  public var stepsPerEpoch: Int? { nil }
}

/// Images in memory with their labels or targets, in another order in each epoch. The same seed gives the same batches.
public struct ImageSet: SampleSource {
  private let images: Data
  /// As many as images, or none.
  private let labels: [Int]
  /// The same, where there are no labels.
  private let targets: [[Float]]
  let count: Int
  private let imageBytes: Int
  let batch: Int
  private let seed: UInt64

  /// Images of bytes, pixel by pixel, one behind the other.
  ///
  /// - Parameters:
  ///   - batch: the most samples in a step; those of an epoch differ by one at most.
  /// - Throws: `.argument` where the images cannot be as many as the labels.
  public init(images: Data, labels: [Int], batch: Int = 32, seed: UInt64 = 0) throws(LocalgradError) {
    try self.init(images, labels.count, labels, [], batch, seed)
  }

  /// The same with a row of targets for each image, as many numbers as the network has outputs.
  public init(images: Data, targets: [[Float]], batch: Int = 32, seed: UInt64 = 0) throws(LocalgradError) {
    try self.init(images, targets.count, [], targets, batch, seed)
  }

  private init(
    _ images: Data, _ count: Int, _ labels: [Int], _ targets: [[Float]], _ batch: Int, _ seed: UInt64
  ) throws(LocalgradError) {
    guard batch > 0, count > 0, images.count % count == 0 else {
      throw .argument(
        """
        \(images.count) bytes are no \(count) images of one size for batches of \(batch); give each image a label or a \
        row of targets
        """)
    }
    (self.images, self.labels, self.targets) = (images, labels, targets)
    (self.count, self.batch, self.seed) = (count, batch, seed)
    imageBytes = images.count / count
  }

  /// Steps in which every image comes once.
  public var stepsPerEpoch: Int? { (count + batch - 1) / batch }

  /// The images of a step.
  public func samples(_ number: Int) -> Samples? {
    samples(of: chosen(number))
  }

  /// The numbers of a step's images.
  func chosen(_ number: Int) -> [Int] {
    let steps = (count + batch - 1) / batch
    let order = shuffled(epoch: number / steps)
    // As even as can be: a last batch of one image would have statistics of its own.
    let step = number % steps
    return Array(order[(count * step / steps)..<(count * (step + 1) / steps)])
  }

  /// The images of these numbers, or `features` in the place of these.
  func samples(of chosen: [Int], features: [Float]? = nil) -> Samples {
    if let features {
      if labels.isEmpty { return Samples(features: features, targets: chosen.map { targets[$0] }) }
      return Samples(features: features, labels: chosen.map { labels[$0] })
    }
    var bytes = Data(capacity: chosen.count * imageBytes)
    for image in chosen {
      let first = images.startIndex + image * imageBytes
      bytes.append(images[first..<first + imageBytes])
    }
    if labels.isEmpty { return Samples(bytes: bytes, targets: chosen.map { targets[$0] }) }
    return Samples(bytes: bytes, labels: chosen.map { labels[$0] })
  }

  private func shuffled(epoch: Int) -> [Int] {
    var generator = SplitMix(state: seed &+ UInt64(epoch) &* 0x9e37_79b9_7f4a_7c15)
    var order = Array(0..<count)
    // Not the standard library's shuffle, which another version may do otherwise.
    for last in stride(from: order.count - 1, to: 0, by: -1) {
      order.swapAt(last, Int(generator.next() % UInt64(last + 1)))
    }
    return order
  }
}

/// Steele, Lea and Flood's generator (2014): one addition and a mixture of the sum.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

struct ClosureSource: SampleSource {
  let give: @Sendable (Int) throws -> Samples?

  func samples(_ number: Int) throws -> Samples? { try give(number) }
}

/// What the library calls: a source, what it lends, and what it threw.
final class SourceBox: @unchecked Sendable {
  let source: any SampleSource
  /// Of the network that it gives samples to.
  private let outputs: Int
  private var lent: PinnedSamples?
  /// What the source threw in this call.
  var error: (any Error)? {
    didSet { if let found = error as? Interruption { interruption = found } }
  }
  /// Why the last wait for samples ended without any.
  private(set) var interruption: Interruption?

  init(_ source: any SampleSource, outputs: Int) {
    (self.source, self.outputs) = (source, outputs)
  }

  static let give: lg_source_fn = { pointer, number, samples in
    guard let pointer, let samples else { return -1 }
    return Unmanaged<SourceBox>.fromOpaque(pointer).takeUnretainedValue().give(Int(number), samples)
  }

  private func give(_ number: Int, _ place: UnsafeMutablePointer<lg_samples>) -> Int32 {
    do {
      (lent, interruption) = (nil, nil)
      guard let samples = try source.samples(number) else { return 1 }
      let pinned = try PinnedSamples(samples, outputs: outputs)
      lent = pinned
      place.pointee = pinned.samples
      return 0
    } catch {
      self.error = error
      return -1
    }
  }
}
