// Steering: cancelled, paused, closed, from wherever.

import Foundation
import Localgrad
import Testing

@Suite struct SteeringTests {
  /// Waits until `trainer` tells of its first step.
  private func firstStep(_ events: AsyncThrowingStream<Event, any Error>) async throws {
    for try await event in events {
      if case .step = event { return }
    }
  }

  @Test func cancelledFromAnotherThreadAndOn() async throws {
    let trainer = try Small.trainer(), plain = try Small.trainer()
    for trainer in [trainer, plain] { try await trainer.setSource(Small.source()) }
    let events = trainer.events
    async let training = trainer.train(until: 100_000)
    try await firstStep(events)
    let thread = Thread { try? trainer.cancel() }
    thread.start()
    let cancelled = try await training
    #expect(cancelled.reason == .cancelled && cancelled.steps >= 1)
    // It holds for later calls, until it is taken back.
    #expect(try await trainer.train(until: 100_000).newSteps == 0)
    try trainer.clearCancel()
    let steps = cancelled.steps + 3
    #expect(try await trainer.train(until: steps).reason == .done)
    try await plain.train(until: steps)
    #expect(try await trainer.weightBytes() == plain.weightBytes())
  }

  @Test func aTaskThatIsCancelledStopsItsCallAlone() async throws {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    let events = trainer.events
    let task = Task { try await trainer.train(until: 100_000) }
    try await firstStep(events)
    task.cancel()
    #expect(try await task.value.reason == .cancelled)
    #expect(try await trainer.step().samples == Small.batch)
    // One that is cancelled before it begins does nothing.
    let early = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await trainer.train(until: 100_000)
    }
    #expect(try await early.value.newSteps == 0)
    // The end of a scope cancels what it began.
    await withTaskGroup(of: Void.self) { group in
      group.addTask { _ = try? await trainer.train(until: 100_000) }
      group.addTask { try? await Task.sleep(nanoseconds: 20_000_000) }
      await group.next()
      group.cancelAll()
    }
    #expect(try await trainer.step().samples == Small.batch)
  }

  @Test func pausesAndGoesOn() async throws {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    try trainer.pause()
    let late = try await trainer.train(until: 5, deadline: .milliseconds(50))
    #expect(late.reason == .deadline && late.newSteps == 0)
    async let training = trainer.train(until: 5)
    try await Task.sleep(nanoseconds: 20_000_000)
    try trainer.resume()
    #expect(try await training.steps == 5)
    try trainer.setWorkFraction(0.5)
    try trainer.setThreads(2)
    #expect(try await trainer.train(until: 8).steps == 8)
    let wrong = await failure { try trainer.setWorkFraction(0) }
    #expect(wrong?.message.contains("0.01 to 1") == true)
  }

  @Test func oneCallAtATime() async throws {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    let events = trainer.events
    let task = Task { try await trainer.train(until: 100_000) }
    try await firstStep(events)
    for call in [
      { try await trainer.step() }, { _ = try await trainer.evaluate(Small.samples(0)) },
      { try trainer.push(Small.samples(0)) }, { try await trainer.save() },
    ] as [@Sendable () async throws -> Void] {
      guard case .busy = await failure({ try await call() }) else {
        Issue.record("a trainer at work took another call")
        continue
      }
    }
    task.cancel()
    _ = try await task.value
    // Predictions wait for each other.
    let found = try await withThrowingTaskGroup(of: Int.self) { group in
      for sample in 0..<8 {
        group.addTask { try await trainer.predict(image: Data(Small.image(sample))).count }
      }
      return try await group.reduce(0, +)
    }
    #expect(found == 24)
  }

  @Test func twoTrainersAtOnce() async throws {
    let one = try Small.trainer(), two = try Small.trainer()
    for trainer in [one, two] { try await trainer.setSource(Small.source()) }
    async let first = one.train(until: 20)
    async let second = two.train(until: 20)
    #expect(try await first.loss == second.loss)
    #expect(try await one.weightBytes() == two.weightBytes())
  }

  @Test func closedWhileItTrains() async throws {
    let trainer = try Small.trainer()
    try await trainer.setSource(Small.source())
    let events = trainer.events
    let task = Task { try await trainer.train(until: 100_000) }
    try await firstStep(trainer.events)
    trainer.close()
    #expect(try await task.value.reason == .cancelled)
    var told = 0
    for try await _ in events { told += 1 }
    #expect(told > 0)
  }

  @Test func nothingIsDoneAfterClose() async throws {
    let trainer = try Small.trainer()
    trainer.close()
    trainer.close()
    let calls: [@Sendable () async throws -> Void] = [
      { try await trainer.step() }, { try await trainer.train(until: 1) }, { try trainer.push(Small.samples(0)) },
      { try trainer.cancel() }, { try trainer.pause() }, { _ = try await trainer.status() },
      { _ = try await trainer.state() }, { try await trainer.setSource(Small.source()) },
      { _ = try await trainer.predict(Small.samples(0)) },
    ]
    for call in calls {
      let error = await failure { try await call() }
      guard case .closed(let sentence) = error else {
        Issue.record("not closed: \(String(describing: error))")
        continue
      }
      #expect(sentence == "this trainer was closed; make another")
    }
    for try await _ in trainer.events { Issue.record("an event of a closed trainer") }
  }

  @Test func eventsTellWhatHappens() async throws {
    let directory = try Directory()
    let trainer = try Small.trainer { configuration in
      configuration.checkpoints = directory.url
      configuration.checkpointSteps = 2
    }
    try await trainer.setSource(Small.source())
    let collecting = Task { [events = trainer.events] in
      var all = [Event]()
      for try await event in events { all.append(event) }
      return all
    }
    let second = trainer.events
    try await trainer.train(until: 4)
    _ = try await trainer.evaluate(Small.samples(0))
    trainer.close()
    let all = try await collecting.value
    var steps = [Int](), blocks = 0, checkpoints = 0, evaluations = 0
    for event in all {
      switch event {
      case .step(let step):
        steps.append(step.step)
        #expect(event.progress == Double(step.step) / 4 && step.samples == Small.batch && step.peak > 0)
      case .block(let block): blocks += block.loss == nil ? 0 : 1
      case .checkpoint: checkpoints += 1
      case .evaluation(let found): evaluations += found.samples
      default: break
      }
    }
    #expect(steps == [1, 2, 3, 4] && blocks == 12 && checkpoints >= 2 && evaluations == Small.batch)
    var again = 0
    for try await _ in second { again += 1 }
    #expect(again == all.count)
  }

  @Test func whatEndsTrainingEndsTheEvents() async throws {
    struct Broken: Error {}
    let trainer = try Small.trainer()
    try await trainer.setSource { _ in throw Broken() }
    let events = trainer.events
    _ = await failure { try await trainer.train(until: 3) }
    let error = await failure { for try await _ in events {} }
    guard case .source = error else {
      Issue.record("the stream ended by \(String(describing: error))")
      return
    }
  }
}
