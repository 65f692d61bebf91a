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

/// Labelled images in memory, in another order in each epoch. The same seed gives the same batches.
public struct ImageSet: SampleSource {
  private let images: Data
  private let labels: [Int]
  private let imageBytes: Int
  private let batch: Int
  private let seed: UInt64

  /// Images of bytes, pixel by pixel, one behind the other.
  ///
  /// - Parameters:
  ///   - batch: the most samples in a step; those of an epoch differ by one at most.
  /// - Throws: `.argument` where the images cannot be as many as the labels.
  public init(images: Data, labels: [Int], batch: Int = 32, seed: UInt64 = 0) throws(LocalgradError) {
    guard batch > 0, !labels.isEmpty, images.count % labels.count == 0 else {
      throw .argument(
        """
        \(images.count) bytes are no \(labels.count) images of one size for batches of \(batch); give each image a label
        """)
    }
    (self.images, self.labels, self.batch, self.seed) = (images, labels, batch, seed)
    imageBytes = images.count / labels.count
  }

  /// Steps in which every image comes once.
  public var stepsPerEpoch: Int? { (labels.count + batch - 1) / batch }

  /// The images of a step.
  public func samples(_ number: Int) -> Samples? {
    let steps = (labels.count + batch - 1) / batch
    let order = shuffled(epoch: number / steps)
    // As even as can be: a last batch of one image would have statistics of its own.
    let step = number % steps
    let chosen = order[(labels.count * step / steps)..<(labels.count * (step + 1) / steps)]
    var bytes = Data(capacity: chosen.count * imageBytes)
    for image in chosen {
      let first = images.startIndex + image * imageBytes
      bytes.append(images[first..<first + imageBytes])
    }
    return Samples(bytes: bytes, labels: chosen.map { labels[$0] })
  }

  private func shuffled(epoch: Int) -> [Int] {
    var generator = SplitMix(state: seed &+ UInt64(epoch) &* 0x9e37_79b9_7f4a_7c15)
    var order = Array(0..<labels.count)
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
  private var lent: PinnedSamples?
  /// What the source threw in this call.
  var error: (any Error)? {
    didSet { if let found = error as? Interruption { interruption = found } }
  }
  /// Why the last wait for samples ended without any.
  private(set) var interruption: Interruption?

  init(_ source: any SampleSource) {
    self.source = source
  }

  static let give: lg_source_fn = { pointer, number, samples in
    guard let pointer, let samples else { return -1 }
    return Unmanaged<SourceBox>.fromOpaque(pointer).takeUnretainedValue().give(Int(number), samples)
  }

  private func give(_ number: Int, _ place: UnsafeMutablePointer<lg_samples>) -> Int32 {
    do {
      (lent, interruption) = (nil, nil)
      guard let samples = try source.samples(number) else { return 1 }
      let pinned = try PinnedSamples(samples)
      lent = pinned
      place.pointee = pinned.samples
      return 0
    } catch {
      self.error = error
      return -1
    }
  }
}
