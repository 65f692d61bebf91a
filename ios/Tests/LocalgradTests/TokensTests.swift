// A network of tokens, such as the words of texts.

import Foundation
import Localgrad
import Testing

@Suite struct TokensTests {
  static let length = 12
  static let vocabulary = 30
  static let classes = 3

  func network() throws -> Network {
    try Network(
      named: "text_tcn", input: ImageShape(width: Self.length), classes: Self.classes, vocabulary: Self.vocabulary)
  }

  func trainer(_ change: (inout TrainerConfiguration) -> Void = { _ in }) throws -> Trainer {
    var configuration = TrainerConfiguration(batch: 12, learningRate: 0.02)
    (configuration.rule, configuration.blocks, configuration.threads) = (.man, 2, 1)
    change(&configuration)
    return try Trainer(network(), configuration)
  }

  /// Texts of noise, in which the token behind the class's number stands somewhere.
  static func samples(_ first: Int, count: Int = 12) -> Samples {
    let tokens = (first..<first + count).flatMap { number in
      (0..<length).map { at -> UInt32 in
        if at == number * 7 % length { return UInt32(1 + number % classes) }
        let noise = Small.hash(UInt64(number * length + at)) % UInt64(vocabulary - 1 - classes)
        return UInt32(1 + classes) + UInt32(noise)
      }
    }
    return Samples(tokens: tokens, labels: (first..<first + count).map { $0 % classes })
  }

  @Test func textsAreLearntJudgedAndPredicted() async throws {
    let network = try network()
    #expect(network.input == ImageShape(channels: 1, height: 1, width: Self.length))
    #expect(network.vocabulary == Self.vocabulary)
    #expect(try Network(json: network.json()).vocabulary == Self.vocabulary)
    #expect(try Small.network().vocabulary == 0)
    let trainer = try trainer()
    let held = Self.samples(1_000_000, count: 60)
    let before = try await trainer.evaluate(held)
    try await trainer.setSource { Self.samples($0 * 12) }
    try await trainer.train(until: 120)
    let after = try await trainer.evaluate(held)
    #expect(after.accuracy > 0.9 && after.loss < before.loss, "\(before), then \(after)")
    let found = try await trainer.predict(held)
    let right = zip(found, held.labels).filter { $0.first?.label == $1 }.count
    #expect(abs(Double(right) / 60 - after.accuracy) < 1e-9)
  }

  @Test func whatIsPushedTrainsAsWhatASourceGives() async throws {
    let directory = try Directory()
    let whole = try trainer()
    try await whole.setSource { Self.samples($0 * 12) }
    try await whole.train(until: 6)
    for steps in [0..<3, 3..<6] {
      let part = try trainer { $0.checkpoints = directory.url.appendingPathComponent("run") }
      #expect(part.isResumed == (steps.lowerBound > 0))
      for number in steps {
        try part.push(Self.samples(number * 12))
        try await part.step()
      }
      try await part.save()
      if steps.upperBound == 6 { #expect(try await part.weightBytes() == whole.weightBytes()) }
      part.close()
    }
  }

  @Test func whatIsNoTokenIsRefused() async throws {
    let trainer = try trainer()
    func expect(_ words: String, of trainer: Trainer, _ samples: Samples) async {
      let found = await failure { try trainer.push(samples) }
      #expect(found?.message.contains(words) == true, "\(String(describing: found))")
    }
    var tokens = [UInt32](repeating: 1, count: 2 * Self.length)
    tokens[Self.length + 3] = UInt32(Self.vocabulary)
    await expect("sample 1 holds the token 30", of: trainer, Samples(tokens: tokens, labels: [0, 1]))
    await expect("rows of 12 tokens", of: trainer, Samples(tokens: [1, 2], labels: [0]))
    let floats = [Float](repeating: 0, count: Self.length)
    await expect("takes tokens, not images", of: trainer, Samples(floats: floats, labels: [0]))
    let pixels = [UInt32](repeating: 0, count: Small.pixels)
    await expect("not tokens", of: try Small.trainer(), Samples(tokens: pixels, labels: [0]))
    #expect(try await trainer.status().pending == 0)
    let unsaid = await failure { _ = try Network(named: "text_tcn") }
    #expect(unsaid?.message.contains("takes tokens") == true)

    let directory = try Directory()
    let file = directory.url.appendingPathComponent("weights.safetensors")
    try await trainer.export(to: file)
    let kept = await failure {
      _ = try await Personalizer(Network(contentsOf: file), classes: ["one", "another"], in: directory.url)
    }
    #expect(kept?.message.contains("use a Trainer") == true)
  }
}
