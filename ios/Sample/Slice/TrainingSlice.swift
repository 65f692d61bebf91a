// One slice of training, as the system grants it. Nothing of this file knows whether an app, a background task or a test
// runs it.

import Foundation
import Localgrad

/// What the phone is like.
struct Conditions: Sendable, Equatable {
  /// How hot it is.
  enum Heat: Sendable {
    case fine, warm, hot
  }

  var heat = Heat.fine
  var savesPower = false
}

extension Conditions {
  /// Says them to a trainer: hot, it waits; warm or saving power, it works a quarter of the time on one core. Results stay
  /// the same.
  func apply(to trainer: Trainer) throws(LocalgradError) {
    if heat == .hot {
      try trainer.pause(because: .thermal)
      return
    }
    let spares = heat == .warm || savesPower
    try trainer.setWorkFraction(spares ? 0.25 : 1, because: heat == .warm ? .thermal : savesPower ? .battery : .user)
    try trainer.setThreads(spares ? 1 : 0)
    try trainer.resume()
  }
}

/// The fruit that this app learns, and where it keeps what it learned.
struct Fruit: Sendable {
  static let names = ["apple", "pear", "plum"]

  let weights: URL
  let directory: URL

  /// Goes on where the last slice ended, however that ended.
  func personalizer() async throws -> Personalizer {
    try await Personalizer(
      Network(contentsOf: weights), classes: Fruit.names, in: directory,
      configuration: .init(train: .lastUnits(2), memoryBudget: .mebibytes(64)))
  }

  /// Trains for `time`, or until the task is cancelled; whether all is done.
  ///
  /// A checkpoint is left every five seconds and at the end, so that a kill costs no more than that.
  func trainSlice(
    _ time: Duration, conditions: AsyncStream<Conditions>, progress: @escaping @Sendable (Double) -> Void
  ) async throws -> Bool {
    let personalizer = try await personalizer()
    defer { personalizer.close() }
    let trainer = personalizer.trainer
    let following = Task {
      for await now in conditions { try now.apply(to: trainer) }
    }
    let telling = Task {
      for try await event in trainer.events { if let share = event.progress { progress(share) } }
    }
    defer {
      following.cancel()
      telling.cancel()
    }
    return try await personalizer.train(epochs: 30, deadline: time).reason == .done
  }
}
