// Hands the events of a trainer to all who listen.

import CLocalgrad
import Foundation

/// Takes events out of the library's ring, after each step and twenty times a second while a call is at work.
final class EventPump: Sendable {
  typealias Listener = AsyncThrowingStream<Event, any Error>.Continuation

  private struct State {
    var listeners: [Int: Listener] = [:]
    var next = 0
    /// Calls at work.
    var working = 0
    var isTicking = false
    var isClosed = false
  }

  private let trainer: Handle
  private let state = Locked(State())

  init(_ trainer: Handle) {
    self.trainer = trainer
  }

  func stream() -> AsyncThrowingStream<Event, any Error> {
    AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1024)) { listener in
      let number: Int? = state.use { state in
        if state.isClosed { return nil }
        state.next += 1
        state.listeners[state.next] = listener
        return state.next
      }
      guard let number else { return listener.finish() }
      listener.onTermination = { [weak self] _ in
        _ = self?.state.use { $0.listeners.removeValue(forKey: number) }
      }
      drain()
      tick()
    }
  }

  func began() {
    state.use { $0.working += 1 }
    tick()
  }

  func ended() {
    drain()
    state.use { $0.working -= 1 }
  }

  /// Ends all streams, by throwing what ended training, if anything did.
  func finish(throwing error: (any Error)? = nil, closes: Bool = false) {
    drain()
    let listeners = state.use { state in
      defer { state.listeners = [:] }
      state.isClosed = state.isClosed || closes
      return state.listeners.values
    }
    // Outside of the lock, which the end of a stream takes, too.
    for listener in listeners { listener.finish(throwing: error) }
  }

  /// Hands on all that waits. Without listeners it waits on, as far as there is room.
  func drain() {
    state.use { state in
      if state.listeners.isEmpty { return }
      var (event, found) = (lg_event(), Int32(0))
      event.struct_size = MemoryLayout<lg_event>.size
      while lg_trainer_poll(trainer.pointer, &event, &found, nil) == 0, found == 1 {
        guard let event = Event(event) else { continue }
        for listener in state.listeners.values { listener.yield(event) }
      }
    }
  }

  private func tick() {
    let starts = state.use { state in
      let starts = state.working > 0 && !state.listeners.isEmpty && !state.isTicking
      state.isTicking = state.isTicking || starts
      return starts
    }
    guard starts else { return }
    Task.detached(priority: .utility) { [weak self] in
      while await self?.ticked() == true {
        try? await Task.sleep(nanoseconds: 50_000_000)
      }
    }
  }

  private func ticked() async -> Bool {
    drain()
    return state.use { state in
      state.isTicking = state.working > 0 && !state.listeners.isEmpty
      return state.isTicking
    }
  }
}
