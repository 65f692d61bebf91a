// Training on images that pass what stays as it is of a network once.

import Foundation

extension Trainer {
  /// Trains on `source`, which is set, for so many epochs, or to the deadline.
  func learn(
    _ source: KeptImages, epochs: Int, deadline: Duration?
  ) async throws(LocalgradError) -> TrainingResult {
    guard let last = try lastStep(nil, epochs), last > 0 else { return try await nothingToDo() }
    let lesson = Lesson(core, source, last, deadline, configuration)
    return try await training { () throws(LocalgradError) in try lesson.perform() }
  }

  /// Lets all images of `source` pass that have not.
  func keep(_ source: KeptImages) async throws(LocalgradError) {
    guard source.keepsFeatures else { return }
    try await core.call { () throws(LocalgradError) in
      try source.kept.keep(Array(0..<source.images.count), of: source.images)
    }
  }
}

/// One call that trains on such images, on the trainer's thread. As long as some have not passed, those of a few steps at a time
/// pass before these steps, so that a short slice trains, too.
private struct Lesson {
  /// Steps whose images pass before the first of them trains.
  private static let stepsAhead = 8

  private let core: TrainerCore
  private let source: KeptImages
  private let last: Int
  private let end: ContinuousClock.Instant?
  private let configuration: TrainerConfiguration

  init(
    _ core: TrainerCore, _ source: KeptImages, _ last: Int, _ deadline: Duration?, _ configuration: TrainerConfiguration
  ) {
    (self.core, self.source, self.last, self.configuration) = (core, source, last, configuration)
    end = deadline.map { .now + $0 }
  }

  private var isLate: Bool { end.map { .now >= $0 } ?? false }

  func perform() throws(LocalgradError) -> TrainingResult {
    var steps = Int(try core.describe().steps)
    var newSteps = 0
    var loss: Double?
    while true {
      let until: Int?
      do throws(LocalgradError) {
        until = try keepAhead(of: steps)
      } catch .cancelled {
        return TrainingResult(reason: .cancelled, steps: steps, newSteps: newSteps, loss: loss)
      }
      let watch = until.map { until in { @Sendable (step: StepResult) in step.step < until } }
      let left = end.map { max(ContinuousClock.Instant.now.duration(to: $0), .milliseconds(1)) }
      let found = try TrainingRun(core, last, left, configuration, watch).perform()
      (steps, newSteps, loss) = (found.steps, newSteps + found.newSteps, found.loss ?? loss)
      if found.reason != .stopped || isLate {
        let reason = found.reason == .stopped ? .deadline : found.reason
        return TrainingResult(reason: reason, steps: steps, newSteps: newSteps, loss: loss)
      }
    }
  }

  /// Lets the images of the next steps pass until it is late, those of one step at least; how many steps are done when more are
  /// to pass, nil for none.
  private func keepAhead(of steps: Int) throws(LocalgradError) -> Int? {
    guard source.keepsFeatures, !core.isPaused else { return nil }
    var next = steps
    while next < min(steps + Self.stepsAhead, last), !source.kept.areOfAll(source.images.count) {
      try source.kept.keep(source.images.chosen(next), of: source.images)
      next += 1
      if isLate { break }
    }
    return next >= last || source.kept.areOfAll(source.images.count) ? nil : next
  }
}
