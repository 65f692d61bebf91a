// What stays as it is of a network, passed once.

import Foundation
import Localgrad
import Testing

private func configuration(_ change: (inout TrainerConfiguration) -> Void = { _ in }) -> TrainerConfiguration {
  var configuration = TrainerConfiguration(train: .lastUnits(2), batch: Small.batch, learningRate: 0.05)
  (configuration.threads, configuration.seed) = (1, 7)
  change(&configuration)
  return configuration
}

private func make(_ configuration: TrainerConfiguration = configuration()) throws -> Trainer {
  try Trainer(Small.network(), configuration)
}

@Suite struct FeaturesTests {
  @Test func featuresTrainAreJudgedAndPredictedAsTheirImagesAre() async throws {
    let scratch = try Directory()
    let ways = [
      configuration(),
      configuration { $0.train = .head },
      configuration { ($0.microBatch, $0.recompute) = (4, true) },
      configuration { ($0.offload, $0.scratch) = (true, scratch.url) },
    ]
    for way in ways {
      let plain = try make(way), trainer = try make(way)
      var kept = [Samples]()
      for batch in 0..<3 { kept.append(try await trainer.features(Small.samples(Small.batch * batch))) }
      let each = try await trainer.featureCount()
      #expect(kept.allSatisfy { $0.features?.count == Small.batch * each && $0.labels.count == Small.batch })
      try await plain.setSource { Small.samples(Small.batch * ($0 % 3)) }
      try await trainer.setSource { [kept] number in kept[number % 3] }
      try await plain.train(until: 7)
      try await trainer.train(until: 6)
      try trainer.push(kept[0])
      try await trainer.step()
      #expect(try await plain.weightBytes() == trainer.weightBytes())
      let images = Small.samples(Small.batch)
      #expect(try await trainer.evaluate(images) == trainer.evaluate(kept[1]))
      #expect(try await trainer.logits(images) == trainer.logits(kept[1]))
      #expect(try await trainer.predict(images) == trainer.predict(kept[1]))
    }
  }

  @Test func featuresAreOfTheirImageAloneAndTheBodyIsNotPassedAgain() async throws {
    let trainer = try make()
    let all = try #require(try await trainer.features(Small.samples(0, count: 8)).features)
    let each = try await trainer.featureCount()
    let image = Small.image(7)
    let floats = Samples(floats: image.map { Float($0) / 255 }, labels: [0], layout: .nchw)
    #expect(try await trainer.features(floats).features == Array(all[(7 * each)...]))
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Small.pixels, alignment: 1)
    defer { bytes.deallocate() }
    bytes.copyBytes(from: image)
    let frame = Frame(UnsafeRawBufferPointer(bytes), width: Small.side, height: Small.side, format: .gray)
    let framed = try await trainer.features(of: frame, label: 2)
    #expect(framed.features == Array(all[(7 * each)...]) && framed.labels == [2])

    // Whatever becomes of the body, a step on features is the same.
    let state = try await trainer.state()
    try trainer.push(Small.samples(0))
    let loss = try await trainer.step().loss
    let learnt = try await trainer.weights(block: 1)
    try await trainer.restore(state)
    let kept = try await trainer.features(Small.samples(0))
    let body = try await trainer.weightList(block: 0).filter { !$0.isStatistic }
    let nothing = body.map { ($0.name, [Float](repeating: 0, count: $0.count)) }
    try await trainer.setWeights(Dictionary(uniqueKeysWithValues: nothing))
    try trainer.push(Samples(features: try #require(kept.features), labels: kept.labels))
    #expect(try await trainer.step().loss == loss)
    #expect(try await trainer.weights(block: 1) == learnt)
  }

  @Test func whatAreNoFeaturesIsRefusedAndChangesNothing() async throws {
    let whole = try Small.trainer()
    let none = await failure { _ = try await whole.featureCount() }
    #expect(none?.message.contains("first unit is trained") == true)
    let hint = await failure { _ = try await whole.features(Small.samples(0)) }
    #expect(hint?.message.contains("last-2-units") == true)
    let pushed = await failure { try whole.push(Samples(features: [0], labels: [0])) }
    #expect(pushed?.message.contains("first unit is trained") == true)

    let trainer = try make()
    let images = Small.samples(0, count: 2)
    let kept = try await trainer.features(images)
    let each = try await trainer.featureCount()
    let twice = await failure { _ = try await trainer.features(kept) }
    #expect(twice?.message.contains("features already") == true)
    let short = await failure { try trainer.push(Samples(features: [Float](repeating: 0, count: each), labels: [0, 1])) }
    #expect(short?.message.contains("2 rows of") == true)
    let spoiled = await failure {
      try trainer.push(Samples(features: [Float](repeating: .nan, count: each), labels: [0]))
    }
    #expect(spoiled?.message.contains("sample 0") == true)
    try trainer.push(images)
    let mixed = await failure { try trainer.push(kept) }
    #expect(mixed?.message.contains("or all as features") == true)
    try trainer.discardPushed()
    try trainer.push(kept)
    let other = await failure { try trainer.push(images) }
    #expect(other?.message.contains("or all as features") == true)
    let weights = try await trainer.weights()
    let stale = await failure { try await trainer.setWeights(weights) }
    #expect(stale?.message.contains("features were pushed") == true)
    #expect(try await trainer.status().pending == 2)
    try await trainer.step()
    try await trainer.setWeights(weights)
  }

  private let names = ["top", "middle", "bottom"]

  private func base() async throws -> Network {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("base.safetensors")
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    try await trainer.train(until: 20)
    try await trainer.export(to: file)
    return try Network(contentsOf: file)
  }

  /// A personalizer with so many images, which are there or are added.
  private func filled(
    _ place: URL, _ base: Network, count: Int = 24, _ change: (inout Personalizer.Configuration) -> Void = { _ in }
  ) async throws -> Personalizer {
    var configuration = Personalizer.Configuration(batch: Small.batch)
    configuration.trainer.threads = 1
    configuration.epochs = 3
    change(&configuration)
    let personalizer = try await Personalizer(base, classes: names, in: place, configuration: configuration)
    for sample in await personalizer.counts.values.reduce(0, +)..<count {
      try await personalizer.add(Data(Small.image(sample)), as: names[Small.label(of: sample)])
    }
    return personalizer
  }

  @Test func aPersonalizerThatKeepsFeaturesLearnsTheSameAndPassesEachImageOnce() async throws {
    let directory = try Directory()
    let base = try await base()
    let plain = try await filled(directory.url.appendingPathComponent("plain"), base) { $0.featureMemory = 0 }
    #expect(try await plain.train().reason == .done)
    #expect(plain.passes == 0)
    let (bytes, judged) = (try await plain.trainer.weightBytes(), try await plain.evaluate())

    let keeping = try await filled(directory.url.appendingPathComponent("kept"), base)
    let found = try await keeping.train()
    #expect(found.reason == .done && found.steps == 12 && found.newSteps == 12 && found.loss != nil)
    #expect(try await keeping.trainer.weightBytes() == bytes)
    #expect(keeping.passes == 24)
    #expect(try await keeping.evaluate() == judged)
    #expect(keeping.passes == 24)
    // Of other weights, everything passes anew.
    try await keeping.trainer.setWeights(try await keeping.trainer.weights())
    #expect(try await keeping.evaluate() == judged)
    #expect(keeping.passes == 48)

    // In slices that are too short for one step, and each in a process of its own.
    let place = directory.url.appendingPathComponent("slices")
    var (reason, count) = (Reason.deadline, 0)
    while reason == .deadline {
      let slice = try await filled(place, base)
      let found = try await slice.train(deadline: .milliseconds(1))
      (reason, count) = (found.reason, count + found.newSteps)
      #expect(found.newSteps >= 1 || reason == .done)
      if reason == .done { #expect(try await slice.trainer.weightBytes() == bytes) }
      slice.close()
    }
    #expect(count == 12)
  }

  @Test func aPersonalizerKeepsFeaturesWhereThereAreAnyAndRoom() async throws {
    let directory = try Directory()
    let base = try await base()
    let small = try await filled(directory.url.appendingPathComponent("small"), base) { $0.featureMemory = 500 }
    try await small.train()
    #expect(small.passes == 0)
    // Everything is trained, so that nothing stays as it is.
    let all = try await filled(directory.url.appendingPathComponent("all"), base) { [units = base.units] in
      $0.trainer.train = .lastUnits(units)
    }
    try await all.train()
    #expect(all.passes == 0)
    // Steps have fewer images than a batch, and images come later.
    let odd = try await filled(directory.url.appendingPathComponent("odd"), base, count: 10)
    try await odd.train()
    #expect(odd.passes == 10)
    try await odd.add(Data(Small.image(50)), as: names[0])
    try await odd.train()
    #expect(try await odd.evaluate().samples == 11)
    #expect(odd.passes == 11)

    let steered = try await filled(directory.url.appendingPathComponent("steered"), base)
    try steered.trainer.pause()
    let late = try await steered.train(deadline: .milliseconds(20))
    #expect(late.reason == .deadline && late.newSteps == 0)
    try steered.trainer.resume()
    try steered.trainer.cancel()
    #expect(try await steered.train().reason == .cancelled)
    try steered.trainer.clearCancel()
    #expect(try await steered.train().reason == .done)
  }
}
