// Training, from the first step to the last.

import Foundation
import Localgrad
import Testing

@Suite struct TrainingTests {
  @Test func trainsOnASourceAndLearns() async throws {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    let result = try await trainer.train(until: 60)
    #expect(result.reason == .done)
    #expect(result.steps == 60)
    #expect(result.newSteps == 60)
    #expect(try await trainer.status().samples == 360)
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
  }
}
