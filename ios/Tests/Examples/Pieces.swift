// The shorter examples of README.md.

import Foundation
import Localgrad
#if canImport(CoreVideo)
  import CoreVideo

  func personalize(weights: URL, directory: URL, pixelBuffer: CVPixelBuffer) async throws -> Prediction? {
    let personalizer = try await Personalizer(
      Network(contentsOf: weights), classes: ["apple", "pear", "plum"], in: directory)
    try await personalizer.add(pixelBuffer, as: "pear")
    try await personalizer.train(deadline: .seconds(25))
    let best = try await personalizer.predict(pixelBuffer).first
    return best
  }
#endif

func texts(tokens: [UInt32], labels: [Int]) async throws {
  let network = try Network(named: "text_tcn", input: .init(width: 128), classes: 2, vocabulary: 5000)
  let trainer = try Trainer(network)
  try trainer.push(Samples(tokens: tokens, labels: labels))
  try await trainer.step()
}

func peak(of network: Network, _ configuration: TrainerConfiguration) throws -> Bytes {
  let plan = try network.plan(configuration)  // plan.peak, plan.ends, plan.microBatch
  return plan.peak
}

func labelled(weights: URL, photo: Data, held: Samples) async throws -> Evaluation {
  let network = try Network(contentsOf: weights)
    .replacingObjective(.labels).replacingHead(classes: ["sweet", "red", "round"])
  let trainer = try Trainer(network, .init(train: .lastUnits(1)))
  try trainer.push(Samples(bytes: photo, targets: [[1, 0, 1]]))
  try await trainer.step()
  let found = try await trainer.evaluate(held)  // found.metricName, found.metric
  return found
}
