// What every test needs: a small network, and samples that are a function of their number.

import Foundation
import Localgrad
#if canImport(Glibc)
  import Glibc
#endif

enum Small {
  static let side = 8
  static let pixels = side * side
  static let classes = 3
  static let batch = 6

  static func hash(_ number: UInt64) -> UInt64 {
    var mixed = number &+ 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  static func label(of sample: Int) -> Int { Int(hash(UInt64(sample)) % UInt64(classes)) }

  /// Noise with a bright band of rows that tells the class.
  static func image(_ sample: Int) -> [UInt8] {
    (0..<pixels).map { at in
      let noise = hash(UInt64(sample * pixels + at + 1_000_000)) % 100
      return UInt8(noise) + (at / side / 3 == label(of: sample) ? 120 : 0)
    }
  }

  /// Samples `first` and on.
  static func samples(_ first: Int, count: Int = batch) -> Samples {
    let numbers = first..<first + count
    return Samples(bytes: Data(numbers.flatMap(image)), labels: numbers.map(label))
  }

  /// Batch `number` of as many as `batches`.
  static func source(batches: Int = .max) -> @Sendable (Int) -> Samples? {
    { number in number < batches ? samples(number * batch) : nil }
  }

  static func network(classes: Int = classes) throws -> Network {
    try Network(
      named: "resnet8", input: ImageShape(channels: 1, height: side, width: side), classes: classes,
      widths: [4, 4, 6, 8])
  }

  static func configuration() -> TrainerConfiguration {
    var configuration = TrainerConfiguration(batch: batch, learningRate: 0.05)
    (configuration.rule, configuration.head, configuration.ends) = (.man, "1c1f", [0, 1, 3])
    (configuration.threads, configuration.seed) = (1, 7)
    return configuration
  }

  static func trainer(_ change: (inout TrainerConfiguration) -> Void = { _ in }) throws -> Trainer {
    var configuration = configuration()
    change(&configuration)
    return try Trainer(network(), configuration)
  }
}

extension Trainer {
  /// The bytes of its weights. Those of a state also hold how long it was at work.
  func weightBytes() async throws -> Data {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("weights.safetensors")
    try await export(to: file)
    return try Data(contentsOf: file)
  }
}

/// A directory that goes with this object.
final class Directory: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("localgrad-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: url)
  }
}

/// What `work` throws; nil where it throws nothing, or something else.
func failure(_ work: () async throws -> Void) async -> LocalgradError? {
  do {
    try await work()
    return nil
  } catch {
    return error as? LocalgradError
  }
}
