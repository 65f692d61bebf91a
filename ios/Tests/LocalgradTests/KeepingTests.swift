// Checkpoints, states and weights; a child that is killed.

import CLocalgrad
import Foundation
import Localgrad
import Testing

@Suite struct KeepingTests {
  @Test func statesAndCheckpointsGoOnInTheSameBytes() async throws {
    let directory = try Directory()
    let plain = try Small.trainer()
    try await plain.setSource(Small.source())
    try await plain.set(.learningRate, to: 0.03)
    try await plain.train(until: 7)
    let state = try await plain.state()
    try await plain.train(until: 12)

    let other = try Small.trainer()
    let damaged = await failure { try await other.restore(state.prefix(state.count - 1)) }
    guard case .format = damaged else {
      Issue.record("a damaged state was taken: \(String(describing: damaged))")
      return
    }
    try await other.restore(state)
    #expect(try await other.value(of: .learningRate) == 0.03)
    try await other.setSource(Small.source())
    try await other.train(until: 12)
    #expect(try await other.weightBytes() == plain.weightBytes())

    let place = directory.url.appendingPathComponent("checkpoints")
    for (until, resumes) in [(5, false), (12, true)] {
      let trainer = try Small.trainer { $0.checkpoints = place }
      #expect(trainer.isResumed == resumes)
      if !resumes { try await trainer.set(.learningRate, to: 0.03) }
      try await trainer.setSource(Small.source())
      try await trainer.train(until: until)
      if resumes { #expect(try await trainer.weightBytes() == plain.weightBytes()) }
      trainer.close()
    }
    let different = await failure { _ = try Small.trainer { ($0.checkpoints, $0.batch) = (place, 5) } }
    #expect(different != nil)
  }

  @Test func weightsGoOutAndIn() async throws {
    let directory = try Directory()
    let file = directory.url.appendingPathComponent("weights.safetensors")
    let trainer = try Small.trainer(), other = try Small.trainer { $0.seed = 8 }
    try await trainer.setSource(Small.source())
    try await trainer.train(until: 5)
    try await trainer.export(to: file)
    try await other.loadWeights(from: file)
    let samples = Small.samples(50)
    #expect(try await other.logits(samples) == trainer.logits(samples))
    let half = directory.url.appendingPathComponent("half.safetensors")
    try await trainer.export(to: half, .float16)
    let sizes = try [file, half].map { try Data(contentsOf: $0).count }
    #expect(sizes[1] < sizes[0])
    let missing = await failure { try await other.loadWeights(from: directory.url.appendingPathComponent("none")) }
    guard case .files = missing else {
      Issue.record("a file that is not there: \(String(describing: missing))")
      return
    }
    let nowhere = await failure { try await trainer.export(to: directory.url.appendingPathComponent("no/where")) }
    #expect(nowhere != nil)
  }

  #if os(Linux) || os(macOS)
    /// Kills the child at random moments until it is done; its weights are those of a run through C that nobody killed.
    @Test func aKilledProcessEndsInTheBytesOfC() async throws {
      let directory = try Directory()
      let steps = 40
      var kills = 0
      var generator = SystemRandomNumberGenerator()
      for attempt in 0... {
        let child = Process(), output = Pipe(), input = Pipe()
        child.executableURL = products.appendingPathComponent("TrainChild")
        child.arguments = [directory.url.path, "\(steps)"]
        (child.standardInput, child.standardOutput) = (input, output)
        try child.run()
        // It goes no farther than it is let, so that the first is killed however fast it is; later ones farther, to get done.
        let last = Int.random(in: 2...8, using: &generator) + attempt * 4
        try input.fileHandleForWriting.write(contentsOf: Data(count: last))
        let seen = Int.random(in: 1...last, using: &generator)
        var told = 0
        while told < seen, let byte = try output.fileHandleForReading.read(upToCount: 1), let byte = byte.first {
          told += byte == 10 ? 1 : 0
        }
        try await Task.sleep(nanoseconds: UInt64.random(in: 0...1_000_000, using: &generator))
        if child.isRunning, told == seen {
          kill(child.processIdentifier, SIGKILL)
          kills += 1
        }
        child.waitUntilExit()
        if child.terminationReason == .exit {
          #expect(child.terminationStatus == 0)
          break
        }
      }
      #expect(kills > 0)
      let resumed = try Data(contentsOf: directory.url.appendingPathComponent("weights.safetensors"))
      let plain = directory.url.appendingPathComponent("c.safetensors")
      try trainInC(steps, to: plain.path)
      #expect(try Data(contentsOf: plain) == resumed)
    }
  #endif
}

/// Where the executables of this package lie.
private var products: URL {
  #if os(macOS)
    for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
      return bundle.bundleURL.deletingLastPathComponent()
    }
  #endif
  return Bundle.main.bundleURL
}

private struct Refused: Error {
  let sentence: String
}

/// The child's training through the C functions alone.
private func trainInC(_ steps: Int, to path: String) throws {
  let error = lg_error_create()
  var (network, trainer): (OpaquePointer?, OpaquePointer?) = (nil, nil)
  defer {
    lg_trainer_destroy(trainer)
    lg_network_destroy(network)
    lg_error_destroy(error)
  }
  func succeed(_ status: Int32) throws {
    if status != 0 { throw Refused(sentence: String(cString: lg_error_message(error))) }
  }
  var options = lg_network_options(), config = lg_trainer_config(), run = lg_run_options()
  try succeed(lg_network_options_init(&options, MemoryLayout<lg_network_options>.size))
  try succeed(lg_trainer_config_init(&config, MemoryLayout<lg_trainer_config>.size))
  try succeed(lg_run_options_init(&run, MemoryLayout<lg_run_options>.size))
  (options.channels, options.height, options.width, options.classes) = (1, 8, 8, 3)
  try [4, 4, 6, 8].withUnsafeBufferPointer { widths in
    (options.widths, options.widths_count) = (widths.baseAddress, widths.count)
    try succeed(lg_network_create("resnet8", &options, &network, error))
  }
  (config.batch, config.learning_rate, config.threads, config.seed) = (6, 0.05, 1, 7)
  try [0, 1, 3].withUnsafeBufferPointer { ends in
    try "man".withCString { rule in
      try "1c1f".withCString { head in
        (config.ends, config.ends_count, config.rule, config.head) = (ends.baseAddress, ends.count, rule, head)
        try succeed(lg_trainer_create(network, &config, &trainer, error))
      }
    }
  }
  let images = UnsafeMutablePointer<UInt8>.allocate(capacity: 6 * 64 + 6 * 4)
  defer { images.deallocate() }
  try succeed(
    lg_trainer_set_source(
      trainer,
      { place, number, samples in
        guard let place, let samples else { return -1 }
        let images = place.assumingMemoryBound(to: UInt8.self)
        for at in 0..<6 * 64 { images[at] = UInt8(truncatingIfNeeded: (Int(number) * 31 + at * at) % 251) }
        let labels = (place + 6 * 64).bindMemory(to: UInt32.self, capacity: 6)
        for at in 0..<6 { labels[at] = UInt32((Int(number) + at) % 3) }
        (samples.pointee.images, samples.pointee.images_bytes) = (UnsafeRawPointer(place), 6 * 64)
        (samples.pointee.count, samples.pointee.labels) = (6, UnsafePointer(labels))
        return 0
      }, images, error))
  run.until_step = UInt64(steps)
  try succeed(lg_trainer_run(trainer, &run, nil, error))
  try succeed(lg_trainer_export(trainer, path, 0, error))
}
