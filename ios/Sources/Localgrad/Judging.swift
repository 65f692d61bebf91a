// How good the network is, and what it says.

import CLocalgrad
import Foundation

/// A class that the network sees in an image.
public struct Prediction: Sendable, Hashable {
  /// The class, from 0.
  public let label: Int
  /// Its name; nil where classes have none.
  public let name: String?
  /// How sure the network is, in [0, 1]; all classes together are 1.
  public let probability: Float
}

extension Trainer {
  /// One logit for each class of each image, image after image. Labels are not looked at.
  public func logits(_ samples: Samples) async throws(LocalgradError) -> [Float] {
    let (core, classes) = (core, network.classes)
    return try await core.call { () throws(LocalgradError) in
      var logits = [Float](repeating: 0, count: max(samples.count, 0) * classes)
      try samples.check { lg_trainer_predict(core.handle.pointer, $0, &logits, logits.count, $1) }
      return logits
    }
  }

  /// What the network takes each image for, the likeliest class first.
  public func predict(_ samples: Samples) async throws(LocalgradError) -> [[Prediction]] {
    let (logits, classes, names) = (try await logits(samples), network.classes, classNames)
    return stride(from: 0, to: logits.count, by: classes).map { first in
      predictions(logits[first..<first + classes], names)
    }
  }

  /// What the network takes one image for, the bytes of its own size, the likeliest class first.
  public func predict(image: Data) async throws(LocalgradError) -> [Prediction] {
    try await predict(Samples(bytes: image, count: 1)).first ?? []
  }

  /// How good the network is on these samples, as many as there are. Training is not changed.
  public func evaluate(_ samples: Samples) async throws(LocalgradError) -> Evaluation {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var found = lg_evaluation()
      found.struct_size = MemoryLayout<lg_evaluation>.size
      try samples.check { lg_trainer_evaluate(core.handle.pointer, $0, &found, $1) }
      return Evaluation(found)
    }
  }

  /// The same on what a source gives, until it gives nil.
  public func evaluate(source: some SampleSource) async throws(LocalgradError) -> Evaluation {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var found = lg_evaluation()
      found.struct_size = MemoryLayout<lg_evaluation>.size
      let box = SourceBox(source)
      try core.throwing(from: box) { () throws(LocalgradError) in
        let pointer = Unmanaged.passUnretained(box).toOpaque()
        try check { lg_trainer_evaluate_source(core.handle.pointer, SourceBox.give, pointer, &found, $0) }
      }
      return Evaluation(found)
    }
  }
}

/// The likeliest first; of equals the first.
func predictions(_ logits: ArraySlice<Float>, _ names: [String]) -> [Prediction] {
  let largest = logits.max() ?? 0
  let shares = logits.map { exp($0 - largest) }
  let sum = shares.reduce(0, +)
  let all = shares.enumerated().map { label, share in
    Prediction(label: label, name: label < names.count ? names[label] : nil, probability: share / sum)
  }
  return all.sorted { ($1.probability, $0.label) < ($0.probability, $1.label) }
}

extension Evaluation {
  init(_ found: lg_evaluation) {
    self.init(samples: found.samples, accuracy: found.accuracy, loss: found.loss)
  }
}

extension Samples {
  /// Calls the C library with these samples lent to it.
  func check(
    _ call: (UnsafePointer<lg_samples>, OpaquePointer?) -> Int32
  ) throws(LocalgradError) {
    let labels = try checkedLabels()
    try Localgrad.check { report in lend(labels) { call($0, report) } }
  }
}
