// Sources that are asynchronous sequences.

import Foundation
import Localgrad
import Testing

@Suite struct AsyncSourceTests {
  @Test func aSequenceGivesOneStepAnElement() async throws {
    let trainer = try Small.trainer(), plain = try Small.trainer()
    let (samples, camera) = AsyncStream<Samples>.makeStream()
    try await trainer.setSource(samples: samples)
    for number in 0..<5 { camera.yield(Small.samples(number * Small.batch)) }
    camera.finish()
    #expect(try await trainer.train().reason == .dataEnded)
    try await plain.setSource(Small.source())
    try await plain.train(until: 5)
    #expect(try await trainer.weightBytes() == plain.weightBytes())
  }

  @Test func waitsEndWithDeadlinesCancelsAndCloses() async throws {
    let trainer = try Small.trainer()
    let (samples, camera) = AsyncStream<Samples>.makeStream()
    try await trainer.setSource(samples: samples)
    camera.yield(Small.samples(0))
    let late = try await trainer.train(until: 9, deadline: .milliseconds(60))
    #expect(late.reason == .deadline && late.newSteps == 1 && late.steps == 1)
    let task = Task { try await trainer.train(until: 9) }
    try await Task.sleep(nanoseconds: 30_000_000)
    task.cancel()
    #expect(try await task.value.reason == .cancelled)
    // What comes later is not lost.
    camera.yield(Small.samples(6))
    #expect(try await trainer.train(until: 2).reason == .done)
    let closing = Task { try await trainer.train(until: 9) }
    try await Task.sleep(nanoseconds: 30_000_000)
    trainer.close()
    // Where the machine is slow, it was closed before that call began.
    do {
      #expect(try await closing.value.reason == .cancelled)
    } catch LocalgradError.closed {
    }
  }

  @Test func whatASequenceThrowsComesOut() async throws {
    struct Broken: Error {}
    let trainer = try Small.trainer()
    let (samples, camera) = AsyncThrowingStream<Samples, any Error>.makeStream()
    try await trainer.setSource(samples: samples)
    camera.yield(Small.samples(0))
    camera.finish(throwing: Broken())
    guard case .source(let cause, _) = await failure({ try await trainer.train(until: 9) }) else {
      Issue.record("what the sequence threw was lost")
      return
    }
    #expect(cause is Broken)
  }
}
