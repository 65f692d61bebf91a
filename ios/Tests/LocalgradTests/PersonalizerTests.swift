// A network that learned five classes learns five others from twenty images of each.

import Foundation
import Localgrad
import Testing

/// Images of ten classes: stripes of five directions, wide ones (0 to 4) and narrow ones (5 to 9), anywhere, of any
/// contrast and colour, under noise.
enum Stripes {
  static let side = 16

  static func image(_ label: Int, _ number: Int) -> Data {
    let seed = UInt64(label * 1_000_003 + number * 7919)
    func random(_ at: UInt64) -> Double { Double(Small.hash(seed &* 4099 &+ at) >> 11) / Double(1 << 53) }
    let angle = Double.pi * Double(label % 5) / 5
    let frequency = label < 5 ? 0.9 : 1.8
    let (phase, contrast) = (random(0) * 2 * .pi, 25 + 35 * random(1))
    var bytes = [UInt8]()
    for row in 0..<side {
      for column in 0..<side {
        let along = Double(column) * cos(angle) + Double(row) * sin(angle)
        let wave = contrast * sin(frequency * along + phase)
        for channel in 0..<3 {
          let noise = 60 * (random(UInt64(10 + (row * side + column) * 3 + channel)) - 0.5)
          bytes.append(UInt8(max(0, min(255, 128 + 40 * (random(UInt64(3 + channel)) - 0.5) + wave + noise))))
        }
      }
    }
    return Data(bytes)
  }

  static func set(_ labels: Range<Int>, count: Int, from first: Int = 0) -> (images: Data, labels: [Int]) {
    var (images, all) = (Data(), [Int]())
    for number in first..<first + count {
      for label in labels {
        images.append(image(label, number))
        all.append(label - labels.lowerBound)
      }
    }
    return (images, all)
  }
}

@Suite struct PersonalizerTests {
  static let names = ["north", "north-east", "east", "south-east", "south"]

  /// A network trained on the first five classes, and its file.
  private func pretrain(in directory: URL) async throws -> (Network, URL) {
    let network = try Network(
      named: "resnet8", input: ImageShape(channels: 3, height: Stripes.side, width: Stripes.side), classes: 5,
      widths: [8, 8, 12, 16])
    var configuration = TrainerConfiguration(batch: 25, learningRate: 0.05)
    (configuration.rule, configuration.seed, configuration.threads) = (.bp, 1, 1)
    let trainer = try Trainer(network, configuration)
    let set = Stripes.set(0..<5, count: 50)
    try await trainer.setSource(ImageSet(images: set.images, labels: set.labels, batch: 25))
    try await trainer.train(epochs: 8)
    let file = directory.appendingPathComponent("pretrained.safetensors")
    try await trainer.export(to: file)
    return (network, file)
  }

  @Test func learnsFiveClassesFromTwentyImagesEach() async throws {
    let directory = try Directory()
    let (network, file) = try await pretrain(in: directory.url)
    let place = directory.url.appendingPathComponent("personal")
    var configuration = Personalizer.Configuration(learningRate: 0.03)
    configuration.trainer.threads = 1
    var personalizer = try await Personalizer(
      network, weights: file, classes: Self.names, in: place, configuration: configuration)
    let empty = await failure { try await personalizer.train() }
    #expect(empty?.message.contains("no images") == true)
    for (number, label) in (0..<100).map({ ($0 / 5, $0 % 5) }) {
      try await personalizer.add(Stripes.image(5 + label, number), as: Self.names[label])
    }
    #expect(await personalizer.counts == Dictionary(uniqueKeysWithValues: Self.names.map { ($0, 20) }))
    let test = (0..<200).map { (image: Stripes.image(5 + $0 % 5, 1000 + $0), name: Self.names[$0 % 5]) }
    let before = try await personalizer.evaluate(test)
    let part = try await personalizer.train(epochs: 5)
    #expect(part.reason == .done && part.steps == 35)
    personalizer.close()

    // The same lines, after the process went away: images, names and training are there.
    personalizer = try await Personalizer(
      network, weights: file, classes: Self.names, in: place, configuration: configuration)
    #expect(personalizer.trainer.isResumed)
    #expect(await personalizer.counts["east"] == 20)
    let whole = try await personalizer.train(epochs: 20)
    #expect(whole.steps == 140 && whole.newSteps == 105)
    let after = try await personalizer.evaluate(test)
    print("five new classes from 20 images each: \(after.accuracy) of 200 others, before \(before.accuracy)")
    #expect(before.accuracy < 0.5 && after.accuracy > 0.8)
    let best = try await personalizer.predict(test[7].image).first
    #expect(best?.name == "east")
    let exported = directory.url.appendingPathComponent("tuned.safetensors")
    try await personalizer.export(to: exported)
    let plain = try Trainer(network)
    try await plain.loadWeights(from: exported)
    #expect(try Network(contentsOf: exported).classNames == Self.names)
    #expect(await (try personalizer.trainedWeights()).keys.contains("fc.weight"))
    let image = Samples(bytes: test[3].image, count: 1)
    #expect(try await plain.logits(image) == personalizer.trainer.logits(image))

    let wrong = await failure { try await personalizer.add(Data(count: 5), as: "east") }
    #expect(wrong?.message.contains("5 bytes") == true)
    let unknown = await failure { try await personalizer.add(test[0].image, as: "up") }
    #expect(unknown?.message.contains("no class up") == true)
  }

  @Test func directoriesKeepWhatTheyAreFor() async throws {
    let directory = try Directory()
    let network = try Small.network()
    let trainer = try Trainer(network)
    let file = directory.url.appendingPathComponent("weights.safetensors")
    try await trainer.export(to: file)
    let place = directory.url.appendingPathComponent("personal")
    // One that carries its weights.
    let pretrained = try Network(contentsOf: file)
    func open(_ classes: [String]) async throws -> Personalizer {
      try await Personalizer(pretrained, classes: classes, in: place)
    }
    let none = await failure { _ = try await Personalizer(network, classes: ["a", "b"], in: place) }
    #expect(none?.message.contains("carries no weights") == true)
    let first = try await open(["a", "b"])
    try await first.add(Data(Small.image(0)), as: "b")
    try await first.add(Data(Small.image(1)), as: "a")
    try await first.train(epochs: 1)
    first.close()
    // A kill in the middle of an image leaves a part of it.
    let images = try FileHandle(forWritingTo: place.appendingPathComponent("images.bin"))
    try images.seekToEnd()
    try images.write(contentsOf: Data([1, 0, 0]))
    try images.close()
    let other = await failure { _ = try await open(["b", "a"]) }
    #expect(other?.message.contains("holds the classes a, b") == true)
    for wrong in [["a"], ["a", "a"], []] { #expect(await failure { _ = try await open(wrong) } != nil) }
    let more = try await open(["a", "b", "c"])
    #expect(!more.trainer.isResumed)
    #expect(await more.counts == ["a": 1, "b": 1, "c": 0])
    try await more.add(Data(Small.image(2)), as: "c")
    more.close()
    let again = try await open(["a", "b", "c"])
    #expect(again.trainer.isResumed)
    #expect(await again.counts == ["a": 1, "b": 1, "c": 1])
    again.close()
    try Personalizer.forget(in: place)
    #expect(await (try open(["x", "y"])).counts == ["x": 0, "y": 0])
  }
}
