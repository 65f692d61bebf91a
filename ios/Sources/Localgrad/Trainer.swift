// A network in training.

import CLocalgrad
import Foundation

/// A network in training.
///
/// Calls that train, evaluate, save or change settings run on the trainer's own thread, one after the other, and never
/// block the actor. While ``train(until:epochs:deadline:watch:)`` is at work, another of them throws `.busy`. Steering
/// (``pause(because:)``, ``resume()``, ``cancel()``, ``setWorkFraction(_:because:)``, ``setThreads(_:)``) and ``events``
/// are possible on any thread at any time. Cancelling the task that waits for a call stops it between two blocks.
public actor Trainer {
  nonisolated let core: TrainerCore
  /// The network in training.
  public nonisolated let network: Network
  /// How it is trained.
  public nonisolated let configuration: TrainerConfiguration
  /// Whether the trainer went back to a checkpoint when it was made.
  public nonisolated let isResumed: Bool
  /// The names of its classes, the network's or, where that has none, those of the checkpoint or the state that it went
  /// back to; empty where nobody named them.
  public nonisolated var classNames: [String] { core.classNames }

  /// A trainer of this network, with new weights or those that the network carries, or as it was at the last checkpoint
  /// where the configuration names a directory that has one.
  ///
  /// - Throws: `.budget` with the least that would do, where nothing keeps to the memory budget; `.configuration` for what
  ///   cannot work.
  public init(
    _ network: Network, _ configuration: TrainerConfiguration = TrainerConfiguration()
  ) throws(LocalgradError) {
    let arena = Arena()
    var config = try configuration.inC(of: network, arena)
    var trainer: OpaquePointer?
    try check { lg_trainer_create(network.handle.pointer, &config, &trainer, $0) }
    let core = TrainerCore(Handle(pointer: trainer))
    do throws(LocalgradError) {
      isResumed = try openCheckpoints(trainer, configuration)
      try core.readClassNames()
    } catch {
      core.close()
      throw error
    }
    (self.core, self.network, self.configuration) = (core, network, configuration)
  }

  deinit {
    core.close()
  }

  /// Ends the trainer, its threads and what it has in memory; checkpoints stay. A call at work stops before its next
  /// block. Every later call throws `.closed`. Without it the trainer ends when nobody refers to it.
  public nonisolated func close() {
    core.close()
  }

  /// What happens, from now on. The stream ends when the trainer is closed, and throws what ended a call of
  /// ``train(until:epochs:deadline:watch:)``. Whoever listens first also gets what waits, 256 events at most.
  public nonisolated var events: AsyncThrowingStream<Event, any Error> {
    core.pump.stream()
  }
}

private func openCheckpoints(
  _ trainer: OpaquePointer?, _ configuration: TrainerConfiguration
) throws(LocalgradError) -> Bool {
  guard let directory = configuration.checkpoints else { return false }
  var resumed: Int32 = 0
  let kept = try size(configuration.checkpointsKept, "checkpointsKept")
  try check { lg_trainer_open_checkpoints(trainer, directory.path, kept, &resumed, $0) }
  #if canImport(Darwin)
    // Checkpoints are made anew by training: backups need not carry them.
    var values = URLResourceValues()
    values.isExcludedFromBackup = true
    var place = directory
    try? place.setResourceValues(values)
  #endif
  return resumed == 1
}

// MARK: Steering

extension Trainer {
  /// Lets calls that compute wait, before their next block, until ``resume()`` or a cancel. The call that waits tells the
  /// reason as an event.
  public nonisolated func pause(because reason: PauseReason = .user) throws(LocalgradError) {
    try check { lg_trainer_pause_for(core.handle.pointer, reason.rawValue, $0) }
    core.isPaused = true
  }

  /// Ends a pause.
  public nonisolated func resume() throws(LocalgradError) {
    try check { lg_trainer_resume(core.handle.pointer, $0) }
    core.isPaused = false
  }

  /// Stops the call at work before its next block, and all later ones, until ``clearCancel()``. A step that this
  /// interrupts is kept, and goes on where it was with the next call that trains.
  public nonisolated func cancel() throws(LocalgradError) {
    try core.cancel()
  }

  /// Lets calls compute again after ``cancel()``.
  public nonisolated func clearCancel() throws(LocalgradError) {
    try core.clearCancel()
  }

  /// Sets the share of the time that is spent at work, from 0.01 to 1; the next call that computes tells it and its reason
  /// as an event. Results stay the same.
  public nonisolated func setWorkFraction(
    _ fraction: Double, because reason: PauseReason = .workFraction
  ) throws(LocalgradError) {
    try check { lg_trainer_set_work_fraction_for(core.handle.pointer, fraction, reason.rawValue, $0) }
  }

  /// Sets the number of worker threads from the next block on; 0 is one a core. Results stay the same.
  public nonisolated func setThreads(_ threads: Int) throws(LocalgradError) {
    let threads = try size(threads, "threads")
    try check { lg_trainer_set_threads(core.handle.pointer, threads, $0) }
  }
}

// MARK: Samples

extension Trainer {
  /// Adds samples to those that the next step trains on; at most a batch of them waits. They are read in place, before
  /// this returns. On any thread; `.busy` while a call is at work.
  public nonisolated func push(_ samples: Samples) throws(LocalgradError) {
    try samples.check(outputs: network.classes) { lg_trainer_push(core.handle.pointer, $0, $1) }
  }

  /// The same with one image in memory that is lent for this call.
  public nonisolated func push(
    _ image: UnsafeRawBufferPointer, label: Int, layout: Samples.Layout = .nhwc
  ) throws(LocalgradError) {
    try push(Samples(lending: image, count: 1, labels: [label], layout: layout))
  }

  /// The same with what the image is to be answered with, a number for each output of the network.
  public nonisolated func push(
    _ image: UnsafeRawBufferPointer, targets: [Float], layout: Samples.Layout = .nhwc
  ) throws(LocalgradError) {
    try push(Samples(lending: image, count: 1, targets: [targets], layout: layout))
  }

  /// Forgets the samples that were pushed and not yet trained on.
  public nonisolated func discardPushed() throws(LocalgradError) {
    try check { lg_trainer_discard_pushed(core.handle.pointer, $0) }
  }

  /// Sets where samples come from, where none were pushed.
  public func setSource(_ source: some SampleSource) async throws(LocalgradError) {
    let (core, box) = (core, SourceBox(source, outputs: network.classes))
    try await core.call { () throws(LocalgradError) in try core.setSource(box) }
  }

  /// Sets a function that gives the samples of the step after so many others, and nil where there are no more. What it
  /// throws comes out of ``train(until:epochs:deadline:watch:)``. It is called on the trainer's thread.
  public func setSource(_ give: @escaping @Sendable (Int) throws -> Samples?) async throws(LocalgradError) {
    try await setSource(ClosureSource(give: give))
  }

  /// Sets a sequence whose elements are the samples of one step each. A step waits for its element, as long as it takes,
  /// but not beyond a deadline.
  public func setSource<Source: AsyncSequence & Sendable>(
    samples source: Source
  ) async throws(LocalgradError) where Source.Element == Samples {
    try await setSource(AsyncFeed(source))
  }

  /// Sets no source.
  public func removeSource() async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in try core.setSource(nil) }
  }
}
