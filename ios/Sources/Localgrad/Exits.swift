// Exits: the auxiliary networks behind blocks, which answer beside the network's end.

import CLocalgrad

/// What samples tell of an exit.
public struct ExitEvaluation: Sendable, Hashable {
  /// The share of them that it classified right, in [0, 1].
  public let accuracy: Double
  /// What its logits are divided by so that its probabilities are as large as it is often right.
  public let temperature: Double

  /// What was found before, such as what an app kept.
  public init(accuracy: Double, temperature: Double) {
    (self.accuracy, self.temperature) = (accuracy, temperature)
  }
}

/// What the network takes an image for that left by the first exit that was sure enough.
public struct EarlyPrediction: Sendable, Hashable {
  /// That exit, from 0; the last is the network's end.
  public let exit: Int
  /// All classes, the likeliest first.
  public let predictions: [Prediction]
}

extension Trainer {
  /// What labelled samples tell of each exit: of the auxiliary networks behind the blocks that are trained, in order, and of
  /// the network's end, which is the last. Samples that were not trained on tell best. Training is not changed.
  ///
  /// - Throws: `.configuration` where the network answers with labels or values.
  public func evaluateExits(_ samples: Samples) async throws(LocalgradError) -> [ExitEvaluation] {
    let (core, outputs) = (core, network.classes)
    return try await core.call { () throws(LocalgradError) in
      // One behind each block at most, and the end.
      let room = try core.describe().blocks + 1
      var accuracies = [Double](repeating: 0, count: room)
      var temperatures = accuracies
      var count = 0
      try samples.check(outputs: outputs) {
        lg_trainer_evaluate_exits(core.handle.pointer, $0, &accuracies, &temperatures, room, &count, $1)
      }
      return zip(accuracies, temperatures).prefix(count).map(ExitEvaluation.init)
    }
  }

  /// As ``predict(_:)``, but each image leaves the network by the first exit whose likeliest class has a probability of
  /// `confidence` or more, at the latest by its end, and passes no later unit. `exits` are what ``evaluateExits(_:)`` found,
  /// whose temperatures make probabilities as large as an exit is often right; none leaves them as they are.
  public func predictEarly(
    _ samples: Samples, confidence: Double, exits: [ExitEvaluation] = []
  ) async throws(LocalgradError) -> [EarlyPrediction] {
    let (core, classes, names, objective) = (core, network.classes, classNames, network.objective)
    return try await core.call { () throws(LocalgradError) in
      let temperatures = exits.map(\.temperature)
      var logits = [Float](repeating: 0, count: max(samples.count, 0) * classes)
      var left = [Int](repeating: 0, count: max(samples.count, 0))
      try samples.check(outputs: classes) {
        lg_trainer_predict_early(
          core.handle.pointer, $0, confidence, temperatures, temperatures.count, &logits, logits.count, &left, $1)
      }
      return left.enumerated().map { sample, exit in
        let temperature = exit < temperatures.count ? Float(temperatures[exit]) : 1
        let scaled = logits[sample * classes..<(sample + 1) * classes].map { $0 / temperature }
        return EarlyPrediction(exit: exit, predictions: predictions(scaled[...], names, objective))
      }
    }
  }
}
