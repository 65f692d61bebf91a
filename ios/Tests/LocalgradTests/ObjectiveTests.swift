// Networks that answer with labels or with values.

import Foundation
import Localgrad
import Testing

private let names = ["first", "bright"]

/// What a sample is to be answered with: whether it is of the first class and whether not of the second, or how far from the
/// middle its class is.
private func targets(_ sample: Int, _ objective: Objective) -> [Float] {
  let label = Small.label(of: sample)
  if objective == .labels { return [label == 0 ? 1 : 0, label != 1 ? 1 : 0] }
  return [Float(label) - 1, 1.5 * Float(1 - label)]
}

private func samples(_ first: Int, count: Int = Small.batch, _ objective: Objective) -> Samples {
  let numbers = first..<first + count
  return Samples(bytes: Data(numbers.flatMap(Small.image)), targets: numbers.map { targets($0, objective) })
}

private func source(_ objective: Objective) -> @Sendable (Int) -> Samples? {
  { number in samples(number * Small.batch, objective) }
}

private func network(_ objective: Objective) throws -> Network {
  try Network(
    named: "resnet8", input: ImageShape(channels: 1, height: Small.side, width: Small.side), classes: 2,
    widths: [4, 4, 6, 8], objective: objective)
}

private func trainer(_ objective: Objective) throws -> Trainer {
  try Trainer(network(objective), Small.configuration())
}

@Suite struct ObjectiveTests {
  @Test func severalLabelsAreLearntJudgedAndPredicted() async throws {
    let trainer = try Trainer(network(.labels).naming(classes: names), Small.configuration())
    let collecting = Task { [events = trainer.events] in
      var found = [Evaluation]()
      for try await event in events {
        if case .evaluation(let evaluation) = event { found.append(evaluation) }
        if case .step(let step) = event { #expect((0...1).contains(step.accuracy)) }
      }
      return found
    }
    let held = samples(60_000, count: 60, .labels)
    let before = try await trainer.evaluate(held)
    try await trainer.setSource(source(.labels))
    try await trainer.train(until: 150)
    let after = try await trainer.evaluate(held)
    #expect(after.accuracy > 0.8 && after.loss < before.loss, "\(before), then \(after)")
    #expect(after.metricName == "label_accuracy" && after.metric == after.accuracy)

    // Each label is as likely as its own logit says.
    let logits = try await trainer.logits(held)
    var right = 0
    for (sample, found) in try await trainer.predict(held).enumerated() {
      #expect(found.count == 2 && found[0].probability >= found[1].probability)
      for label in found {
        #expect(label.name == names[label.label])
        let isThere = logits[2 * sample + label.label] > 0
        #expect((label.probability > 0.5) == isThere)
        right += isThere == (held.targets[sample][label.label] == 1) ? 1 : 0
      }
    }
    #expect(abs(after.accuracy - Double(right) / 120) < 1e-9)
    trainer.close()
    #expect(try await collecting.value == [before, after])
  }

  @Test func valuesAreLearntAndJudgedByTheirErrors() async throws {
    for objective in [Objective.values, .huber(delta: 0.5)] {
      let trainer = try trainer(objective)
      let held = samples(60_000, count: 60, objective)
      let before = try await trainer.evaluate(held)
      for number in 0..<150 {
        try trainer.push(samples(number * Small.batch, objective))
        #expect(try await trainer.step().correct == 0)
      }
      let after = try await trainer.evaluate(held)
      #expect(after.metric < 0.75 * before.metric && after.loss < before.loss, "\(before), then \(after)")
      #expect(after.accuracy.isNaN && after.metricName == "mean_absolute_error")
      let found = try await trainer.logits(held)
      let errors = zip(found, held.targets.joined()).map { abs(Double($0) - Double($1)) }
      #expect(abs(after.metric - errors.reduce(0, +) / Double(errors.count)) < 1e-5)
      let likely = await failure { _ = try await trainer.predict(held) }
      #expect(likely?.message.contains("use logits") == true)
    }
  }

  @Test func oneThatClassifiesTakesSharesOfItsClasses() async throws {
    let trainer = try Small.trainer()
    let before = try await trainer.state()
    try trainer.push(Small.samples(0))
    let byLabels = try await trainer.step().loss
    try await trainer.restore(before)
    let shares = (0..<Small.batch).map { sample in
      (0..<Small.classes).map { Small.label(of: sample) == $0 ? Float(1) : 0 }
    }
    let rows = Samples(bytes: Data((0..<Small.batch).flatMap(Small.image)), targets: shares)
    try trainer.push(Small.samples(0, count: 1))
    let mixed = await failure { try trainer.push(Samples(bytes: Data(Small.image(0)), targets: [shares[0]])) }
    #expect(mixed?.message.contains("or all with targets") == true)
    try trainer.discardPushed()
    try trainer.push(rows)
    // A share of 1 is a label.
    let byShares = try await trainer.step().loss
    #expect(abs(byShares - byLabels) < 1e-5)
    #expect(try await trainer.evaluate(rows).metricName == "accuracy")
  }

  @Test func whatDoesNotFitIsRefusedAndChangesNothing() async throws {
    let image = Data(Small.image(0))
    for objective in [Objective.labels, .values] {
      let trainer = try trainer(objective)
      let wrong: [(String, Samples)] = [
        ("give targets", Samples(bytes: image, labels: [0])),
        ("sample 0 has 3 targets", Samples(bytes: image, targets: [[1, 0, 1]])),
        ("sample 1 has 1 targets", Samples(bytes: image + image, targets: [[1, 0], [1]])),
        ("sample 0", Samples(bytes: image, targets: [[1, .nan]])),
        ("images_bytes", Samples(bytes: image, targets: [[1, 0], [1, 0]])),
      ]
      for (words, samples) in wrong {
        let pushed = await failure { try trainer.push(samples) }
        #expect(pushed?.message.contains(words) == true, "\(String(describing: pushed))")
        let judged = await failure { _ = try await trainer.evaluate(samples) }
        #expect(judged?.message.contains(words) == true, "\(String(describing: judged))")
        try await trainer.setSource { _ in samples }
        let trained = await failure { try await trainer.train(until: 1) }
        #expect(trained?.message.contains(words) == true, "\(String(describing: trained))")
      }
      let status = try await trainer.status()
      #expect(status.pending == 0 && status.steps == 0)
      let two = await failure {
        try image.withUnsafeBytes { try trainer.push(Samples(lending: $0, count: 1, labels: [0], targets: [[1, 0]])) }
      }
      #expect(two?.message.contains("one or the other") == true)
      var predsim = Small.configuration()
      (predsim.rule, predsim.head) = (.predsim, nil)
      let compared = await failure { [predsim] in _ = try Trainer(network(objective), predsim) }
      #expect(compared?.message.contains("compare the classes of samples") == true)
    }
    let shares = await failure {
      try Small.trainer().push(Samples(bytes: image, targets: [[1, 1, 0]]))
    }
    #expect(shares?.message.contains("shares of classes") == true)
    let delta = await failure { _ = try network(.huber(delta: 0)) }
    #expect(delta?.message.contains("delta") == true)
  }

  @Test func networksKeepTheirObjective() async throws {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("weights.safetensors")
    for objective in [Objective.classes, .labels, .values, .huber(delta: 0.25)] {
      let made = try network(objective)
      #expect(made.objective == objective)
      #expect(try Network(json: made.json()).objective == objective)
      try await Trainer(made, Small.configuration()).export(to: file)
      #expect(try Network(contentsOf: file).objective == objective)
    }
    let single = try Network(contentsOf: file).replacingObjective(.values).replacingHead(classes: ["age"])
    #expect(single.classNames == ["age"] && single.hasWeights && single.objective == .values)
    let few = await failure { _ = try single.replacingObjective(.classes) }
    #expect(few?.message.contains("2 classes") == true)
  }

  @Test func sourcesAndLentImagesComeWithTargets() async throws {
    let numbers = Array(0..<12)
    let set = try ImageSet(
      images: Data(numbers.flatMap(Small.image)), targets: numbers.map { targets($0, .values) }, batch: 6, seed: 3)
    #expect(set.stepsPerEpoch == 2)
    let whole = try trainer(.values), single = try trainer(.values)
    try await whole.setSource(set)
    try await whole.train(epochs: 1)
    for step in 0..<2 {
      let given = try #require(set.samples(step))
      #expect(given.count == 6 && given.targets.count == 6 && given.labels.isEmpty)
      try single.push(given)
      try await single.step()
    }
    #expect(try await whole.weightBytes() == single.weightBytes())
    let lent = try trainer(.values), framed = try trainer(.values), pushed = try trainer(.values)
    for sample in 0..<3 {
      let row = targets(sample, .values)
      try Small.image(sample).withUnsafeBytes { bytes in
        try lent.push(bytes, targets: row)
        try framed.push(Frame(bytes, width: Small.side, height: Small.side, format: .gray), targets: row)
      }
      try pushed.push(samples(sample, count: 1, .values))
    }
    let loss = try await pushed.step().loss
    #expect(try await lent.step().loss == loss)
    #expect(try await framed.step().loss == loss)
  }

  @Test func aPersonalizerLearnsLabels() async throws {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("weights.safetensors")
    let first = try Small.trainer()
    try await first.setSource(Small.source())
    try await first.train(until: 60)
    try await first.export(to: file)
    let base = try Network(contentsOf: file)
    let place = directory.url.appendingPathComponent("labels")
    func open(_ objective: Objective, _ classes: [String] = names) async throws -> Personalizer {
      try await Personalizer(
        base.replacingObjective(objective), classes: classes, in: place, configuration: .init(learningRate: 0.05))
    }
    func labels(_ sample: Int) -> Set<String> {
      Set(zip(names, targets(sample, .labels)).filter { $0.1 == 1 }.map(\.0))
    }
    let personalizer = try await open(.labels)
    for sample in 0..<30 { try await personalizer.add(Data(Small.image(sample)), as: labels(sample)) }
    var expected = [String: Int]()
    for name in names { expected[name] = (0..<30).filter { labels($0).contains(name) }.count }
    #expect(await personalizer.counts == expected)
    personalizer.close()

    // The same lines, after the process went away.
    let again = try await open(.labels)
    #expect(await again.counts == expected)
    #expect(try await again.train(epochs: 40).reason == .done)
    let found = try await again.evaluate((60_000..<60_060).map { (image: Data(Small.image($0)), names: labels($0)) })
    #expect(found.metricName == "label_accuracy" && found.metric > 0.75, "\(found)")
    again.close()

    let classes = await failure { _ = try await open(.classes) }
    #expect(classes?.message.contains("holds images with labels each") == true)
    let values = await failure { _ = try await open(.values) }
    #expect(values?.message.contains("use a Trainer") == true)
    let many = await failure { _ = try await open(.labels, (0..<33).map { "label \($0)" }) }
    #expect(many?.message.contains("1 to 32 labels") == true)
    let plain = try await Personalizer(
      base, classes: names, in: directory.url.appendingPathComponent("classes"))
    let two = await failure { try await plain.add(Data(Small.image(0)), as: Set(names)) }
    #expect(two?.message.contains("of one class") == true)
  }
}
