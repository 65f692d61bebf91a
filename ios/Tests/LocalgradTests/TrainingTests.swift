// Training, from the first step to the last.

import Foundation
import Localgrad
import Testing

@Suite struct TrainingTests {
  @Test func trainsOnASourceAndLearns() async throws {
    let trainer = try Small.trainer()
    let before = try await trainer.evaluate(Small.samples(6000, count: 60))
    try await trainer.setSource(Small.source())
    let result = try await trainer.train(until: 60)
    #expect(result.reason == .done)
    #expect(result.steps == 60 && result.newSteps == 60)
    let after = try await trainer.evaluate(Small.samples(6000, count: 60))
    #expect(after.samples == 60 && after.accuracy > 0.9 && after.loss < before.loss)
    #expect(try await trainer.status().samples == 360)
    #expect(try await trainer.losses().compactMap { $0 }.count == 3)
    let found = try await trainer.predict(Small.samples(7000, count: 20))
    let right = zip(found, 7000..<7020).filter { $0[0].label == Small.label(of: $1) }.count
    #expect(right >= 18)
    #expect(found.allSatisfy { abs($0.map(\.probability).reduce(0, +) - 1) < 1e-5 })
    #expect(found.allSatisfy { $0[0].probability >= $0[1].probability && $0[1].probability >= $0[2].probability })
  }

  @Test func whatASourceThrowsComesOut() async throws {
    struct Broken: Error {}
    let trainer = try Small.trainer()
    try await trainer.setSource { number in
      if number == 3 { throw Broken() }
      return Small.samples(number * Small.batch)
    }
    let error = await failure { try await trainer.train(until: 10) }
    guard case .source(let cause, _) = error else {
      Issue.record("not what the source threw: \(String(describing: error))")
      return
    }
    #expect(cause is Broken)
    #expect(try await trainer.status().steps == 3)
    // It is no longer there in a call after that.
    try await trainer.setSource(Small.source())
    #expect(try await trainer.train(until: 5).reason == .done)
  }

  @Test func endsWhereItShould() async throws {
    let trainer = try Small.trainer()
    let none = await failure { try await trainer.train(until: 3) }
    #expect(none?.message.contains("no samples") == true)
    try await trainer.setSource(Small.source(batches: 4))
    #expect(try await trainer.train(until: 10).reason == .dataEnded)
    try await trainer.setSource(Small.source())
    let stopped = try await trainer.train { $0.step < 7 }
    #expect(stopped.reason == .stopped && stopped.steps == 7 && stopped.newSteps == 3)
    let late = try await trainer.train(deadline: .milliseconds(200))
    #expect(late.reason == .deadline && late.newSteps > 0)
    // Time that is over still gives one step.
    #expect(try await trainer.train(deadline: .zero).newSteps == 1)
    #expect(try await trainer.train(until: 1).newSteps == 0)
    let unknown = await failure { try await trainer.train(epochs: 2) }
    #expect(unknown?.message.contains("how long an epoch is") == true)
  }

  @Test func pushedBytesAndFloatsInBothLayoutsAreTheSame() async throws {
    let network = try Network(
      named: "resnet8", input: ImageShape(channels: 3, height: 8, width: 8), classes: 3, widths: [4, 4, 6, 8])
    let pixels = (0..<4 * 192).map { UInt8(Small.hash(UInt64($0)) % 256) }
    var planes = [UInt8](repeating: 0, count: pixels.count)
    for (at, byte) in pixels.enumerated() { planes[at / 192 * 192 + at % 3 * 64 + at % 192 / 3] = byte }
    let labels = [0, 2, 1, 0]
    let all = [
      Samples(bytes: Data(pixels), labels: labels),
      Samples(bytes: Data(planes), labels: labels, layout: .nchw),
      Samples(floats: pixels.map { Float($0) / 255 }, labels: labels),
      Samples(floats: planes.map { Float($0) / 255 }, labels: labels, layout: .nchw),
    ]
    var losses = [Double]()
    for samples in all {
      let trainer = try Trainer(network, Small.configuration())
      try trainer.push(samples)
      #expect(try await trainer.status().pending == 4)
      losses.append(try await trainer.step().loss)
    }
    let trainer = try Trainer(network, Small.configuration())
    for (at, label) in labels.enumerated() {
      // Each image where it lies in the array of all.
      try pixels[at * 192..<(at + 1) * 192].withUnsafeBytes { try trainer.push($0, label: label) }
    }
    losses.append(try await trainer.step().loss)
    #expect(Set(losses).count == 1)
    let lost = await failure { try await trainer.step() }
    #expect(lost != nil)
  }

  @Test func samplesThatMeanNothingAreRefused() async throws {
    let trainer = try Small.trainer()
    for (labels, words) in [([-1], "label -1"), ([3], "label 3"), ([0, 1], "64"), ([Int.max], "no class")] {
      let error = await failure { try trainer.push(Samples(bytes: Data(Small.image(0)), labels: labels)) }
      #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    }
    let many = await failure { try trainer.push(Small.samples(0, count: Small.batch + 1)) }
    #expect(many?.message.contains("room") == true)
    try trainer.push(Small.samples(0))
    try trainer.discardPushed()
    #expect(try await trainer.status().pending == 0)
    let uneven = await failure {
      try trainer.push(Samples(lending: UnsafeRawBufferPointer(start: nil, count: 0), count: 2, labels: [1]))
    }
    #expect(uneven?.message.contains("1 labels for 2 images") == true)
  }

  @Test func epochsAndShufflesAreFunctionsOfTheNumber() async throws {
    let images = try ImageSet(
      images: Data((0..<10).flatMap(Small.image)), labels: (0..<10).map(Small.label), batch: 4, seed: 3)
    #expect(images.stepsPerEpoch == 3)
    var counts = [Data: Int]()
    for step in 3..<6 {
      let first = images.samples(step), again = images.samples(step)
      #expect(first?.labels == again?.labels && first.map { (3...4).contains($0.count) } == true)
      let trainer = try Small.trainer()
      for at in 0..<(first?.count ?? 0) { counts[Data([UInt8(step), UInt8(at)]), default: 0] += 1 }
      try trainer.push(first!)
    }
    #expect(counts.count == 10)
    let trainer = try Small.trainer()
    try await trainer.setSource(images)
    #expect(try await trainer.train(epochs: 2).steps == 6)
  }

  @Test func budgetsArePlannedAndRefusedWithTheLeast() async throws {
    let network = try Small.network()
    var configuration = TrainerConfiguration(memoryBudget: 1000, batch: Small.batch)
    let error = await failure { _ = try network.plan(configuration) }
    guard case .budget(let least, let sentence) = error else {
      Issue.record("no refusal by a budget: \(String(describing: error))")
      return
    }
    #expect(sentence.contains("\(least.count) bytes"))
    let refused = await failure { _ = try Trainer(network, configuration) }
    #expect(refused?.message == sentence)
    configuration.memoryBudget = least
    let plan = try network.plan(configuration)
    #expect(plan.peak <= least && !plan.ends.isEmpty && plan.ends.last == network.units - 1)
    let trainer = try Trainer(network, configuration)
    try trainer.push(Small.samples(0))
    #expect(try await trainer.step().samples == Small.batch)
  }
}
