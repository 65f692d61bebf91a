// Images leave by the first exit that is sure enough.

import Foundation
import Localgrad
import Testing

@Suite struct ExitsTests {
  private let samples = Small.samples(5000, count: 48)

  private func trained() async throws -> Trainer {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    try await trainer.train(until: 60)
    return trainer
  }

  private func accuracy(_ found: [EarlyPrediction]) -> Double {
    let right = zip(found, samples.labels).filter { $0.predictions[0].label == $1 }
    return Double(right.count) / Double(samples.count)
  }

  @Test func eachExitIsJudgedAndTheLastIsTheNetworksEnd() async throws {
    let trainer = try await trained()
    let exits = try await trainer.evaluateExits(samples)
    #expect(exits.count == 3)
    #expect(exits.allSatisfy { $0.accuracy > 0.4 && $0.temperature > 0 })
    #expect(try await trainer.evaluate(samples).accuracy == exits[2].accuracy)
  }

  @Test func imagesLeaveWhereItIsSureEnough() async throws {
    let trainer = try await trained()
    let exits = try await trainer.evaluateExits(samples)
    let atOnce = try await trainer.predictEarly(samples, confidence: 1e-9)
    #expect(atOnce.allSatisfy { $0.exit == 0 })
    #expect(accuracy(atOnce) == exits[0].accuracy)

    let whole = try await trainer.predict(samples)
    let early = try await trainer.predictEarly(samples, confidence: 0.8, exits: exits)
    #expect(early.contains { $0.exit == 0 })
    for (found, end) in zip(early, whole) {
      if found.exit < 2 {
        #expect(found.predictions[0].probability >= 0.8 - 1e-6)
      } else {
        #expect(found.predictions[0].label == end[0].label)
      }
    }
    // Twice as warm is half as sure.
    let warm = exits.map { ExitEvaluation(accuracy: $0.accuracy, temperature: $0.temperature * 2) }
    let cooled = try await trainer.predictEarly(samples, confidence: 1e-9, exits: exits)
    let warmed = try await trainer.predictEarly(samples, confidence: 1e-9, exits: warm)
    #expect(zip(warmed, cooled).allSatisfy { $0.predictions[0].probability < $1.predictions[0].probability })
  }

  @Test func whatCannotBeAskedIsRefused() async throws {
    let trainer = try await trained()
    let exits = try await trainer.evaluateExits(samples)
    for confidence in [0, Double.nan, 1.5] {
      await refused("confidence") { _ = try await trainer.predictEarly(samples, confidence: confidence) }
    }
    await refused("3 exits") {
      _ = try await trainer.predictEarly(samples, confidence: 0.5, exits: Array(exits.prefix(2)))
    }
    await refused("labels") {
      _ = try await trainer.evaluateExits(Samples(bytes: Data(Small.image(0)), count: 1))
    }
    let labels = try Network(
      named: "resnet8", input: ImageShape(channels: 1, height: Small.side, width: Small.side), classes: Small.classes,
      widths: [4, 4, 6, 8], objective: .labels)
    let judged = try Trainer(labels, Small.configuration())
    await refused("exits") {
      _ = try await judged.evaluateExits(Samples(bytes: Data(Small.image(0)), targets: [[0, 1, 0]]))
    }
  }
}

private func refused(_ word: String, _ work: () async throws -> Void) async {
  do {
    try await work()
    Issue.record("not refused: \(word)")
  } catch {
    #expect("\(error)".contains(word))
  }
}
