// Weights by name, class names and normalisation.

import Foundation
import Localgrad
import Testing

@Suite struct WeightsTests {
  @Test func twoTrainersAreAveraged() async throws {
    let trainers = [try Small.trainer(), try Small.trainer { $0.seed = 8 }]
    for (number, trainer) in trainers.enumerated() {
      try await trainer.setSource { Small.samples(($0 * 2 + number) * Small.batch) }
      try await trainer.train(until: 10)
    }
    let (one, two) = (try await trainers[0].weights(), try await trainers[1].weights())
    #expect(Set(one.keys) == Set(two.keys) && one["conv1.weight"] != two["conv1.weight"])
    let mean = one.merging(two) { zip($0, $1).map { ($0 + $1) / 2 } }
    for trainer in trainers { try await trainer.setWeights(mean) }
    #expect(try await trainers[0].weights() == mean)
    #expect(try await trainers[0].weightBytes() == trainers[1].weightBytes())
    // Both go on from there.
    for trainer in trainers { #expect(try await trainer.train(until: 12).reason == .done) }

    let half = try await trainers[0].weightData(.float16)
    #expect(half["fc.weight"]?.count == 2 * one["fc.weight"]!.count)
    try await trainers[1].setWeights(half, .float16)
    #expect(try await trainers[1].weightData(.float16) == half)
  }

  @Test func blocksHoldWhatTheySay() async throws {
    let trainer = try Small.trainer()
    let all = try await trainer.weightList()
    var parts = [Weight]()
    for block in 0..<3 { parts += try await trainer.weightList(block: block) }
    #expect(Set(parts) == Set(all) && parts.count == all.count)
    let first = try #require(all.first { $0.name == "conv1.weight" })
    #expect(first.block == 0 && first.shape == [4, 1, 3, 3] && !first.isStatistic && first.count == 36)
    #expect(all.contains { $0.isStatistic })
    #expect(try await trainer.weights(block: 2).keys.contains("fc.bias"))
    for (name, numbers, words) in [
      ("nothing", [1.0], "nothing"), ("fc.bias", [1], "fc.bias"), ("fc.bias", [.nan, 0, 0], "fc.bias"),
    ] as [(String, [Float], String)] {
      let error = await failure { try await trainer.setWeights([name: numbers]) }
      #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    }
  }

  @Test func filesFromElsewhereAreKnownByTheirTensors() async throws {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("elsewhere.safetensors")
    let own = try Network(named: "resnet8", classes: 4)
    try await Trainer(own, Small.configuration()).export(to: file)
    // The same file with the card of another program.
    var content = try Data(contentsOf: file)
    while let key = content.range(of: Data("localgrad.".utf8)) {
      content.replaceSubrange(key, with: Data("elsewhere.".utf8))
    }
    try content.write(to: file)
    for network in [try Network(contentsOf: file), try Network(data: content)] {
      #expect(network.name == "resnet8" && network.classes == 4)
      #expect(network.hasWeights && !network.hasNormalization && network.classNames.isEmpty)
    }
  }

  @Test func filesSayWhatTheyAre() async throws {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("fruit.safetensors")
    let names = ["apple", "pear", "plum"]
    var configuration = Small.configuration()
    configuration.normalize = .channels(mean: [0.25], deviation: [0.5])
    let trainer = try Trainer(Small.network().naming(classes: names), configuration)
    try await trainer.setSource(Small.source())
    try await trainer.train(until: 5)
    try await trainer.export(to: file)
    for network in [try Network(contentsOf: file), try Network(data: Data(contentsOf: file))] {
      #expect(network.classNames == names && network.hasWeights && network.hasNormalization)
      let again = try Trainer(network)
      #expect(again.classNames == names)
      #expect(try await again.logits(Small.samples(9)) == trainer.logits(Small.samples(9)))
    }
    let error = await failure { _ = try Network(data: Data([1, 2, 3])) }
    guard case .format = error else {
      Issue.record("no format: \(String(describing: error))")
      return
    }
    // A checkpoint carries the names, too.
    let (place, plain) = (directory.url.appendingPathComponent("checkpoints"), configuration)
    configuration.checkpoints = place
    try Trainer(Small.network().naming(classes: names), configuration).close()
    let unnamed = try Trainer(Small.network(), configuration)
    #expect(unnamed.isResumed && unnamed.classNames == names)
    // And so does a state.
    let restored = try Trainer(Small.network(), plain)
    #expect(restored.classNames.isEmpty)
    try await restored.restore(try await trainer.state())
    #expect(restored.classNames == names)
    #expect(try await restored.predict(Small.samples(9)).first?.first?.name != nil)
  }

  @Test func pausesSayWhy() async throws {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    let events = trainer.events
    try trainer.setWorkFraction(0.9, because: .battery)
    try trainer.pause(because: .thermal)
    let task = Task { try await trainer.train(until: 3) }
    var told = [String]()
    for try await event in events {
      switch event {
      case .pace(_, let fraction, let reason): told.append("pace \(fraction) \(reason == .battery)")
      case .paused(_, let reason):
        told.append("paused \(reason == .thermal)")
        try trainer.resume()
      case .resumed: told.append("resumed")
      case .step(let step) where step.step == 3: trainer.close()
      default: break
      }
    }
    #expect(try await task.value.newSteps == 3)
    #expect(Set(told) == ["pace 0.9 true", "paused true", "resumed"] && told.count == 3)
  }
}
