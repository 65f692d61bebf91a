// Images with their labels or targets.

import CLocalgrad
import Foundation

/// Images with their labels or, where the network's ``Objective`` is another, with a row of numbers each; one image behind
/// the other without gaps. In place of images there may be their features, which ``Trainer/features(_:)`` makes, or rows of
/// tokens, such as the words of texts, for a network that takes these.
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
    case features([Float])
    case tokens([UInt32])
    case lent(Lent)
  }

  /// What C calls the numbers: its `lg_pixel`.
  enum Kind: Int32 {
    case bytes = 0
    case floats = 1
    case features = 2
    case tokens = 3
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
  /// In place of labels, a row of as many numbers for each as the network has outputs; else empty.
  public let targets: [[Float]]

  /// Images of bytes, each of which stands for byte / 255, with the class of each.
  public init(bytes: Data, labels: [Int], layout: Layout = .nhwc) {
    self.init(.bytes(bytes), labels.count, labels, layout)
  }

  /// Images of bytes, with a row of as many targets for each as the network has outputs.
  public init(bytes: Data, targets: [[Float]], layout: Layout = .nhwc) {
    self.init(.bytes(bytes), targets.count, [], layout, targets)
  }

  /// Images of bytes without classes, to predict.
  public init(bytes: Data, count: Int, layout: Layout = .nhwc) {
    self.init(.bytes(bytes), count, [], layout)
  }

  /// Images of floats, which are taken as they are, with the class of each. All must be finite.
  public init(floats: [Float], labels: [Int], layout: Layout = .nhwc) {
    self.init(.floats(floats), labels.count, labels, layout)
  }

  /// Images of floats, with a row of as many targets for each as the network has outputs.
  public init(floats: [Float], targets: [[Float]], layout: Layout = .nhwc) {
    self.init(.floats(floats), targets.count, [], layout, targets)
  }

  /// Images of floats without classes, to predict.
  public init(floats: [Float], count: Int, layout: Layout = .nhwc) {
    self.init(.floats(floats), count, [], layout)
  }

  /// Features in place of images, such as those of ``Trainer/features(_:)``, with the class of each sample.
  public init(features: [Float], labels: [Int]) {
    self.init(.features(features), labels.count, labels, .nhwc)
  }

  /// Features in place of images, with a row of as many targets for each sample as the network has outputs.
  public init(features: [Float], targets: [[Float]]) {
    self.init(.features(features), targets.count, [], .nhwc, targets)
  }

  /// Features in place of images, of samples without classes.
  public init(features: [Float], count: Int) {
    self.init(.features(features), count, [], .nhwc)
  }

  /// Rows of tokens, one behind the other, with the class of each row: as many tokens a row as the network's `input.width`,
  /// each below its ``Network/vocabulary``, counted from 0.
  public init(tokens: [UInt32], labels: [Int]) {
    self.init(.tokens(tokens), labels.count, labels, .nhwc)
  }

  /// Rows of tokens, with a row of as many targets for each as the network has outputs.
  public init(tokens: [UInt32], targets: [[Float]]) {
    self.init(.tokens(tokens), targets.count, [], .nhwc, targets)
  }

  /// Rows of tokens without classes, to predict.
  public init(tokens: [UInt32], count: Int) {
    self.init(.tokens(tokens), count, [], .nhwc)
  }

  /// The features, where these are in the place of images; else nil.
  public var features: [Float]? {
    if case .features(let features) = pixels { return features }
    return nil
  }

  /// The same samples with their features in the place of images.
  func with(features: [Float]) -> Samples {
    Samples(.features(features), count, labels, .nhwc, targets)
  }

  /// Images in memory that stays as it is for as long as `owner` lives, such as a mapped file. Without an owner the caller
  /// sees to it that the memory outlives these samples. `areFloats` says that numbers are 32-bit floats, not bytes.
  public init(
    lending memory: UnsafeRawBufferPointer, owner: (AnyObject & Sendable)? = nil, count: Int, labels: [Int] = [],
    targets: [[Float]] = [], areFloats: Bool = false, layout: Layout = .nhwc
  ) {
    self.init(.lent(Lent(memory: memory, areFloats: areFloats, owner: owner)), count, labels, layout, targets)
  }

  private init(_ pixels: Pixels, _ count: Int, _ labels: [Int], _ layout: Layout, _ targets: [[Float]] = []) {
    (self.pixels, self.count, self.labels, self.layout) = (pixels, count, labels, layout)
    self.targets = targets
  }

  /// What samples are to be answered with, checked: labels, or rows of targets one behind the other, or nothing.
  struct Answers {
    let labels: [UInt32]
    let targets: [Float]
  }

  /// The same where it lies in memory.
  struct LentAnswers {
    let labels: UnsafeBufferPointer<UInt32>
    let targets: UnsafeBufferPointer<Float>
  }

  /// Lends these samples, with what they are to be answered with, to C for the time of `body`.
  func lend(_ answers: Answers, _ body: (UnsafePointer<lg_samples>) -> Int32) -> Int32 {
    answers.labels.withUnsafeBufferPointer { labels in
      answers.targets.withUnsafeBufferPointer { targets in
        lend(LentAnswers(labels: labels, targets: targets), body)
      }
    }
  }

  private func lend(_ answers: LentAnswers, _ body: (UnsafePointer<lg_samples>) -> Int32) -> Int32 {
    switch pixels {
    case .bytes(let data):
      return data.withUnsafeBytes { lend($0, .bytes, answers, body) }
    case .floats(let floats):
      return floats.withUnsafeBytes { lend($0, .floats, answers, body) }
    case .features(let features):
      return features.withUnsafeBytes { lend($0, .features, answers, body) }
    case .tokens(let tokens):
      return tokens.withUnsafeBytes { lend($0, .tokens, answers, body) }
    case .lent(let lent):
      return lend(lent.memory, lent.areFloats ? .floats : .bytes, answers, body)
    }
  }

  private func lend(
    _ memory: UnsafeRawBufferPointer, _ kind: Kind, _ answers: LentAnswers,
    _ body: (UnsafePointer<lg_samples>) -> Int32
  ) -> Int32 {
    var samples = inC(memory, kind, answers)
    return body(&samples)
  }

  func inC(_ memory: UnsafeRawBufferPointer, _ kind: Kind, _ answers: LentAnswers) -> lg_samples {
    var samples = lg_samples()
    samples.struct_size = MemoryLayout<lg_samples>.size
    samples.images = memory.baseAddress
    samples.images_bytes = memory.count
    samples.pixel = kind.rawValue
    samples.layout = layout.rawValue
    samples.count = max(count, 0)
    samples.labels = answers.labels.isEmpty ? nil : answers.labels.baseAddress
    samples.targets = answers.targets.isEmpty ? nil : answers.targets.baseAddress
    return samples
  }

  /// For a network of so many outputs, whose rows C takes to be as long.
  func checkedAnswers(outputs: Int) throws(LocalgradError) -> Answers {
    guard count >= 0 else { throw .argument("\(count) images are none; count from 0") }
    guard labels.isEmpty || labels.count == count else {
      throw .argument("there are \(labels.count) labels for \(count) images; give one for each")
    }
    for (sample, label) in labels.enumerated() where UInt32(exactly: label) == nil {
      throw .argument("sample \(sample) has label \(label), which is no class; they count from 0")
    }
    guard labels.isEmpty || targets.isEmpty else {
      throw .argument("there are labels and targets for the same images; give them one or the other")
    }
    guard targets.isEmpty || targets.count == count else {
      throw .argument("there are \(targets.count) rows of targets for \(count) images; give one for each")
    }
    for (sample, row) in targets.enumerated() where row.count != outputs {
      throw .argument(
        "sample \(sample) has \(row.count) targets, and the network has \(outputs) outputs; give one for each")
    }
    return Answers(labels: labels.map { UInt32($0) }, targets: targets.flatMap { $0 })
  }
}

/// The same bytes in memory of their own.
private func copied(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
  let place = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
  place.copyMemory(from: bytes)
  return place
}

/// Samples whose memory stays in its place until this object goes: what a source lends to the library.
final class PinnedSamples {
  let samples: lg_samples
  private let labels: UnsafeMutableBufferPointer<UInt32>
  private let targets: UnsafeMutableBufferPointer<Float>
  /// What holds the images.
  private let owner: AnyObject?
  private var copy: UnsafeMutableRawBufferPointer?

  init(_ source: Samples, outputs: Int) throws(LocalgradError) {
    let checked = try source.checkedAnswers(outputs: outputs)
    labels = .allocate(capacity: checked.labels.count)
    _ = labels.initialize(from: checked.labels)
    targets = .allocate(capacity: checked.targets.count)
    _ = targets.initialize(from: checked.targets)
    let (memory, kind): (UnsafeRawBufferPointer, Samples.Kind)
    switch source.pixels {
    case .bytes(let data):
      // Unlike those of Data, the bytes of NSData have an address of their own.
      #if canImport(ObjectiveC)
        let object = data as NSData
      #else
        let object = data._bridgeToObjectiveC()
      #endif
      (owner, memory) = (object, UnsafeRawBufferPointer(start: object.bytes, count: object.length))
      kind = .bytes
    case .floats(let floats):
      let place = floats.withUnsafeBytes(copied)
      (owner, copy, memory, kind) = (nil, place, UnsafeRawBufferPointer(place), .floats)
    case .features(let features):
      let place = features.withUnsafeBytes(copied)
      (owner, copy, memory, kind) = (nil, place, UnsafeRawBufferPointer(place), .features)
    case .tokens(let tokens):
      let place = tokens.withUnsafeBytes(copied)
      (owner, copy, memory, kind) = (nil, place, UnsafeRawBufferPointer(place), .tokens)
    case .lent(let lent):
      (owner, memory, kind) = (lent.owner, lent.memory, lent.areFloats ? .floats : .bytes)
    }
    let answers = Samples.LentAnswers(labels: UnsafeBufferPointer(labels), targets: UnsafeBufferPointer(targets))
    samples = source.inC(memory, kind, answers)
  }

  deinit {
    labels.deallocate()
    targets.deallocate()
    copy?.deallocate()
  }
}
