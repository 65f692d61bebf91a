// A network that learned five classes learns five others from twenty images of each.

import Foundation
import Localgrad
import Testing

@Suite struct PersonalizerTests {
  #if os(Linux) || os(macOS)
    /// A network trained on the first five classes, and its file.
    private func pretrain(_ photos: Photos, in directory: URL) async throws -> (Network, URL) {
      let network = try Network(
        named: "resnet8", input: ImageShape(channels: photos.channels, height: photos.side, width: photos.side),
        classes: 5, widths: [8, 8, 16, 32])
      var configuration = TrainerConfiguration(batch: 50, learningRate: 0.1)
      (configuration.rule, configuration.seed, configuration.threads) = (.bp, 1, 1)
      let trainer = try Trainer(network, configuration)
      let known = photos.training.filter { $0.label < 5 }
      try await trainer.setSource(
        ImageSet(images: Data(known.map(\.image).joined()), labels: known.map(\.label), batch: 50))
      try await trainer.train(epochs: photos.epochs)
      let file = directory.appendingPathComponent("pretrained.safetensors")
      try await trainer.export(to: file)
      return (network, file)
    }

    @Test func learnsFiveClassesFromTwentyImagesEach() async throws {
      let directory = try Directory()
      let photos = try Photos.open()
      let names = Array(photos.names[5...])
      let (network, file) = try await pretrain(photos, in: directory.url)
      let place = directory.url.appendingPathComponent("personal")
      var configuration = Personalizer.Configuration(train: .lastUnits(1), learningRate: 0.02)
      configuration.trainer.threads = 1
      var personalizer = try await Personalizer(
        network, weights: file, classes: names, in: place, configuration: configuration)
      let empty = await failure { try await personalizer.train() }
      #expect(empty?.message.contains("no images") == true)
      for label in 5..<10 {
        for photo in photos.training.filter({ $0.label == label }).prefix(20) {
          try await personalizer.add(photo.image, as: photos.names[label])
        }
      }
      #expect(await personalizer.counts == Dictionary(uniqueKeysWithValues: names.map { ($0, 20) }))
      let test = photos.test.filter { $0.label >= 5 }.map { (image: $0.image, name: photos.names[$0.label]) }
      let before = try await personalizer.evaluate(test)
      let part = try await personalizer.train(epochs: 5)
      #expect(part.reason == .done && part.steps == 35)
      personalizer.close()

      // The same lines, after the process went away: images, names and training are there.
      personalizer = try await Personalizer(
        network, weights: file, classes: names, in: place, configuration: configuration)
      #expect(personalizer.trainer.isResumed)
      #expect(await personalizer.counts[names[2]] == 20)
      let whole = try await personalizer.train(epochs: 20)
      #expect(whole.steps == 140 && whole.newSteps == 105)
      let after = try await personalizer.evaluate(test)
      print(
        "\(photos.name): five new classes from 20 images each: \(after.accuracy) of \(test.count) others, before \(before.accuracy)")
      #expect(before.accuracy < 0.4 && after.accuracy > 0.2 + photos.learned)
      let sure = try await personalizer.predict(test[0].image).first
      #expect(sure.map { names.contains($0.name ?? "") } == true)
      let exported = directory.url.appendingPathComponent("tuned.safetensors")
      try await personalizer.export(to: exported)
      let plain = try Trainer(network)
      try await plain.loadWeights(from: exported)
      #expect(try Network(contentsOf: exported).classNames == names)
      #expect(await (try personalizer.trainedWeights()).keys.contains("fc.weight"))
      let image = Samples(bytes: test[3].image, count: 1)
      #expect(try await plain.logits(image) == personalizer.trainer.logits(image))

      let wrong = await failure { try await personalizer.add(Data(count: 5), as: names[0]) }
      #expect(wrong?.message.contains("5 bytes") == true)
      let unknown = await failure { try await personalizer.add(test[0].image, as: "up") }
      #expect(unknown?.message.contains("no class up") == true)
    }
  #endif

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
