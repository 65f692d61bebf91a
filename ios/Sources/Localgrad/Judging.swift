// How good the network is, and what it says.

import CLocalgrad
import Foundation

/// A class, or a label, that the network sees in an image.
public struct Prediction: Sendable, Hashable {
  /// The class or the label, from 0.
  public let label: Int
  /// Its name; nil where they have none.
  public let name: String?
  /// How sure the network is, in [0, 1]; all classes together are 1, and each label stands for itself.
  public let probability: Float
}

extension Trainer {
  /// One logit for each class or label of each image, image after image; the values, where the network answers with these.
  /// What the samples are to be answered with is not looked at.
  public func logits(_ samples: Samples) async throws(LocalgradError) -> [Float] {
    let (core, classes) = (core, network.classes)
    return try await core.call { () throws(LocalgradError) in
      var logits = [Float](repeating: 0, count: max(samples.count, 0) * classes)
      try samples.check(outputs: classes) { lg_trainer_predict(core.handle.pointer, $0, &logits, logits.count, $1) }
      return logits
    }
  }

  /// What the network takes each image for, the likeliest class or label first.
  ///
  /// - Throws: `.configuration` where the network answers with values, which ``logits(_:)`` tells.
  public func predict(_ samples: Samples) async throws(LocalgradError) -> [[Prediction]] {
    let objective = network.objective
    if objective.areValues {
      throw .configuration("the network answers with values, which are not likely or unlikely; use logits")
    }
    let (logits, classes, names) = (try await logits(samples), network.classes, classNames)
    return stride(from: 0, to: logits.count, by: classes).map { first in
      predictions(logits[first..<first + classes], names, objective)
    }
  }

  /// What the network takes one image for, the bytes of its own size, the likeliest class or label first.
  public func predict(image: Data) async throws(LocalgradError) -> [Prediction] {
    try await predict(Samples(bytes: image, count: 1)).first ?? []
  }

  /// How good the network is on these samples, as many as there are. Training is not changed.
  public func evaluate(_ samples: Samples) async throws(LocalgradError) -> Evaluation {
    let (core, outputs) = (core, network.classes)
    return try await core.call { () throws(LocalgradError) in
      var found = lg_evaluation()
      found.struct_size = MemoryLayout<lg_evaluation>.size
      try samples.check(outputs: outputs) { lg_trainer_evaluate(core.handle.pointer, $0, &found, $1) }
      return Evaluation(found)
    }
  }

  /// The same on what a source gives, until it gives nil.
  public func evaluate(source: some SampleSource) async throws(LocalgradError) -> Evaluation {
    let (core, outputs) = (core, network.classes)
    return try await core.call { () throws(LocalgradError) in
      var found = lg_evaluation()
      found.struct_size = MemoryLayout<lg_evaluation>.size
      let box = SourceBox(source, outputs: outputs)
      try core.throwing(from: box) { () throws(LocalgradError) in
        let pointer = Unmanaged.passUnretained(box).toOpaque()
        try check { lg_trainer_evaluate_source(core.handle.pointer, SourceBox.give, pointer, &found, $0) }
      }
      return Evaluation(found)
    }
  }
}

/// The likeliest first; of equals the first.
func predictions(_ logits: ArraySlice<Float>, _ names: [String], _ objective: Objective) -> [Prediction] {
  let shares = objective == .labels ? sigmoids(logits) : softmax(logits)
  let all = shares.enumerated().map { label, share in
    Prediction(label: label, name: label < names.count ? names[label] : nil, probability: share)
  }
  return all.sorted { ($1.probability, $0.label) < ($0.probability, $1.label) }
}

private func softmax(_ logits: ArraySlice<Float>) -> [Float] {
  let largest = logits.max() ?? 0
  let shares = logits.map { exp($0 - largest) }
  let sum = shares.reduce(0, +)
  return shares.map { $0 / sum }
}

private func sigmoids(_ logits: ArraySlice<Float>) -> [Float] {
  logits.map { (logit: Float) -> Float in 1 / (1 + exp(-logit)) }
}

extension Evaluation {
  init(_ found: lg_evaluation) {
    self.init(
      samples: found.samples, accuracy: found.accuracy, loss: found.loss, metricName: fixedText(found.metric_name),
      metric: found.metric)
  }
}

extension Samples {
  /// Calls the C library with these samples lent to it, for a network of so many outputs.
  func check(
    outputs: Int, _ call: (UnsafePointer<lg_samples>, OpaquePointer?) -> Int32
  ) throws(LocalgradError) {
    let answers = try checkedAnswers(outputs: outputs)
    try Localgrad.check { report in lend(answers) { call($0, report) } }
  }
}
