// A source that waits for an asynchronous sequence.

import Foundation

/// Why a wait for samples ended without any.
enum Interruption: Error {
  case cancelled
  case late
}

/// Asks the sequence for one element each time the library asks for one. The trainer's thread waits meanwhile, until the
/// call is cancelled or its time is over; an element that comes later waits for the next call.
final class AsyncFeed: SampleSource, @unchecked Sendable {
  private enum Answer {
    case none, asked
    case given(Samples)
    case ended
    case failed(any Error)
  }

  private let condition = NSCondition()
  private var answer = Answer.none
  private var isCancelled = false
  private var deadline: Date?
  private let ask: AsyncStream<Void>.Continuation
  private var task: Task<Void, Never>?

  init<Source: AsyncSequence & Sendable>(_ source: Source) where Source.Element == Samples {
    let (asked, ask) = AsyncStream<Void>.makeStream()
    self.ask = ask
    task = Task.detached(priority: .utility) { [weak self] in
      var iterator = source.makeAsyncIterator()
      for await _ in asked {
        do {
          guard let samples = try await iterator.next() else { break }
          self?.put(.given(samples))
        } catch {
          self?.put(.failed(error))
          return
        }
      }
      self?.put(.ended)
    }
  }

  /// A call begins, which may wait until `deadline`.
  func begin(deadline: Date?) {
    condition.lock()
    (isCancelled, self.deadline) = (false, deadline)
    condition.unlock()
  }

  /// The call at work gets no more samples.
  func cancel() {
    condition.lock()
    isCancelled = true
    condition.broadcast()
    condition.unlock()
  }

  private func put(_ found: Answer) {
    condition.lock()
    answer = found
    condition.broadcast()
    condition.unlock()
  }

  func samples(_ number: Int) throws -> Samples? {
    condition.lock()
    defer { condition.unlock() }
    if case .none = answer {
      answer = .asked
      ask.yield()
    }
    while case .asked = answer {
      if isCancelled { throw Interruption.cancelled }
      if let deadline {
        if !condition.wait(until: deadline) { throw Interruption.late }
      } else {
        condition.wait()
      }
    }
    switch answer {
    case .given(let samples):
      answer = .none
      return samples
    case .failed(let error):
      throw error
    default:
      return nil
    }
  }

  deinit {
    task?.cancel()
    ask.finish()
  }
}
