// What a trainer's calls have in common: its handle, its thread, its cancellations.

import CLocalgrad
import Foundation

/// Shared by the actor, the jobs on the trainer's thread and whoever steers it.
final class TrainerCore: Sendable {
  private struct State {
    var isClosed = false
    /// Whether somebody called `cancel`, rather than that a task was cancelled.
    var isCancelled = false
    /// Whether a call trains, so that no other may begin.
    var trains = false
    var feed: AsyncFeed?
    var classNames: [String] = []
    var isPaused = false
    var weightsSet = 0
  }

  /// A call that can be cancelled by its task.
  private final class Call: @unchecked Sendable {
    var isAtWork = false
    var isCancelled = false
  }

  let handle: Handle
  let pump: EventPump
  private let worker = Worker()
  private let state = Locked(State())
  /// The source in use, which the library knows by its address. Only the trainer's thread uses it.
  private let source = Locked<SourceBox?>(nil)

  init(_ handle: Handle) {
    self.handle = handle
    pump = EventPump(handle)
  }

  /// Makes a call on the trainer's thread. Cancelling the task that waits cancels this call alone.
  func call<Result: Sendable>(
    training: Bool = false, _ work: @escaping @Sendable () throws(LocalgradError) -> Result
  ) async throws(LocalgradError) -> Result {
    let refusal: LocalgradError? = state.use { state in
      if state.isClosed { return closed }
      if state.trains { return .busy("the trainer trains; wait until train has returned, or cancel it") }
      state.trains = training
      return nil
    }
    if let refusal { throw refusal }
    let call = Call()
    let found = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        worker.run {
          let found = self.perform(call, work)
          if training { self.state.use { $0.trains = false } }
          continuation.resume(returning: found)
        }
      }
    } onCancel: {
      cancel(call)
    }
    return try found.get()
  }

  private func perform<Success>(
    _ call: Call, _ work: () throws(LocalgradError) -> Success
  ) -> Swift.Result<Success, LocalgradError> {
    state.use { state in
      call.isAtWork = true
      if call.isCancelled { _ = lg_trainer_cancel(handle.pointer, nil) }
    }
    pump.began()
    defer {
      pump.ended()
      state.use { state in
        call.isAtWork = false
        if call.isCancelled && !state.isCancelled { _ = lg_trainer_clear_cancel(handle.pointer, nil) }
      }
    }
    do {
      return .success(try work())
    } catch {
      return .failure(error)
    }
  }

  private func cancel(_ call: Call) {
    let feed = state.use { state in
      call.isCancelled = true
      if call.isAtWork { _ = lg_trainer_cancel(handle.pointer, nil) }
      return call.isAtWork ? state.feed : nil
    }
    feed?.cancel()
  }

  /// What the state of the calls says of whether this one was to stop.
  var isCancelled: Bool { state.use { $0.isCancelled || $0.isClosed } }

  func cancel() throws(LocalgradError) {
    try check { lg_trainer_cancel(handle.pointer, $0) }
    let feed = state.use { state in
      state.isCancelled = true
      return state.feed
    }
    feed?.cancel()
  }

  func clearCancel() throws(LocalgradError) {
    try check { lg_trainer_clear_cancel(handle.pointer, $0) }
    state.use { $0.isCancelled = false }
  }

  /// Whether somebody paused it.
  var isPaused: Bool {
    get { state.use { $0.isPaused } }
    set { state.use { $0.isPaused = newValue } }
  }

  /// How often weights were set by something else than training: features from before are of others then.
  var weightsSet: Int { state.use { $0.weightsSet } }

  func noteOtherWeights() {
    state.use { $0.weightsSet += 1 }
  }

  /// What the library calls the classes now.
  func readClassNames() throws(LocalgradError) {
    var names = [String]()
    for index in 0..<(try describe().class_names) {
      names.append(try text { lg_trainer_class_name(handle.pointer, index, $0, $1, $2, $3) })
    }
    state.use { [names] in $0.classNames = names }
  }

  /// What the classes were called when it was made, or last went back to a state.
  var classNames: [String] { state.use { $0.classNames } }

  /// Takes a source in use. On the trainer's thread.
  func setSource(_ box: SourceBox?) throws(LocalgradError) {
    let pointer = box.map { Unmanaged.passUnretained($0).toOpaque() }
    try check { lg_trainer_set_source(handle.pointer, box == nil ? nil : SourceBox.give, pointer, $0) }
    source.use { $0 = box }
    state.use { $0.feed = box?.source as? AsyncFeed }
  }

  /// The source in use.
  var sourceInUse: SourceBox? { source.use { $0 } }

  func close() {
    let feed: AsyncFeed?? = state.use { state in
      if state.isClosed { return nil }
      state.isClosed = true
      return state.feed
    }
    guard let feed else { return }
    lg_trainer_destroy(handle.pointer)
    feed?.cancel()
    worker.end()
    pump.finish(closes: true)
  }

  var closed: LocalgradError { .closed("this trainer was closed; make another") }
}
