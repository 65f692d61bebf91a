// What stays as it is of a network, passed once.

import CLocalgrad

extension Trainer {
  /// Numbers of a sample's features: of what the units before the first trained weight make of it.
  ///
  /// - Throws: `.configuration` where the first unit is trained, so that nothing stays as it is.
  public func featureCount() async throws(LocalgradError) -> Int {
    let core = core
    return try await core.call { () throws(LocalgradError) in try core.featureCount() }
  }

  /// What stays as it is of the network, passed once: the same samples with these features in the place of their images.
  ///
  /// They train, are evaluated and predicted as the images are, as often as need be, and end in the same bytes, but for last
  /// digits where a step has fewer samples than ``TrainerConfiguration/batch``. They belong to the weights that made them:
  /// after ``loadWeights(from:_:)``, ``setWeights(_:)`` or ``restore(_:)`` of others they are made anew.
  public func features(_ samples: Samples) async throws(LocalgradError) -> Samples {
    let (core, outputs) = (core, network.classes)
    return try await core.call { () throws(LocalgradError) in try core.features(samples, outputs: outputs) }
  }
}

extension TrainerCore {
  func featureCount() throws(LocalgradError) -> Int {
    var count = 0
    try check { lg_trainer_feature_count(handle.pointer, &count, $0) }
    return count
  }

  func features(_ samples: Samples, outputs: Int) throws(LocalgradError) -> Samples {
    var features = [Float](repeating: 0, count: max(samples.count, 0) * (try featureCount()))
    let bytes = features.count * MemoryLayout<Float>.size
    try samples.check(outputs: outputs) { lg_trainer_features(handle.pointer, $0, &features, bytes, $1) }
    return samples.with(features: features)
  }
}

/// The features of images, each of which passes what stays as it is once. Made on the trainer's thread.
final class KeptFeatures: Sendable {
  private struct State {
    /// By the image's number.
    var rows: [Int: [Float]] = [:]
    var weightsSet: Int
    var passes = 0
  }

  private let core: TrainerCore
  private let limit: Bytes
  /// Numbers of a row; 0 where nothing stays as it is.
  private let each: Int
  private let state: Locked<State>

  init(_ core: TrainerCore, each: Int, limit: Bytes) {
    (self.core, self.each, self.limit) = (core, each, limit)
    state = Locked(State(weightsSet: core.weightsSet))
  }

  /// Images that have passed.
  var passes: Int { state.use { $0.passes } }

  /// Whether there is anything to keep, and room for it, of so many images.
  func haveRoom(_ images: Int) -> Bool {
    each > 0 && images <= limit.count / (each * MemoryLayout<Float>.size)
  }

  /// Whether all of so many images have passed.
  func areOfAll(_ images: Int) -> Bool {
    state.use { $0.weightsSet == core.weightsSet && $0.rows.count == images }
  }

  /// The rows of images, one behind the other; nil where one has not passed.
  func rows(of images: [Int]) -> [Float]? {
    state.use { state in
      guard state.weightsSet == core.weightsSet else { return nil }
      var rows = [Float]()
      rows.reserveCapacity(images.count * each)
      for image in images {
        guard let row = state.rows[image] else { return nil }
        rows.append(contentsOf: row)
      }
      return rows
    }
  }

  /// Lets those of these images pass that have not.
  func keep(_ images: [Int], of set: ImageSet) throws(LocalgradError) {
    let missing = state.use { state in
      if state.weightsSet != core.weightsSet { state.rows = [:] }
      state.weightsSet = core.weightsSet
      return images.filter { state.rows[$0] == nil }
    }
    for first in stride(from: 0, to: missing.count, by: set.batch) {
      let group = Array(missing[first..<min(first + set.batch, missing.count)])
      let images = set.samples(of: group)
      let features = try core.features(images, outputs: images.targets.first?.count ?? 0).features ?? []
      state.use { state in
        for (at, image) in group.enumerated() { state.rows[image] = Array(features[at * each..<(at + 1) * each]) }
        state.passes += group.count
      }
    }
  }
}

/// Images that come as their features, where these are kept.
struct KeptImages: SampleSource {
  let images: ImageSet
  let kept: KeptFeatures
  /// One image behind the other, once, rather than in another order in each epoch.
  var isInOrder = false

  var stepsPerEpoch: Int? { images.stepsPerEpoch }
  /// Whether features find room, and some are made.
  var keepsFeatures: Bool { kept.haveRoom(images.count) }

  func samples(_ number: Int) -> Samples? {
    let chosen = isInOrder ? inOrder(number) : images.chosen(number)
    if chosen.isEmpty { return nil }
    return images.samples(of: chosen, features: keepsFeatures ? kept.rows(of: chosen) : nil)
  }

  private func inOrder(_ number: Int) -> [Int] {
    let first = min(number * images.batch, images.count)
    return Array(first..<min(first + images.batch, images.count))
  }
}
