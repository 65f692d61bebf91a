// Training: step by step, or until something says stop.

import CLocalgrad
import Foundation

/// Why training returned.
public enum Reason: Int32, Sendable {
  /// All steps are done.
  case done = 0
  /// The time is over.
  case deadline = 1
  /// `watch` said stop.
  case stopped = 2
  /// The task or the trainer was cancelled, or the trainer closed.
  case cancelled = 3
  /// There are no more samples.
  case dataEnded = 4
}

/// What training came to.
public struct TrainingResult: Sendable, Hashable {
  /// Why it returned.
  public let reason: Reason
  /// Steps of the trainer that are done, earlier calls counted.
  public let steps: Int
  /// Steps that this call finished.
  public let newSteps: Int
  /// Mean loss of the last block in the last of them; nil where there was none.
  public let loss: Double?
}

/// What a step found.
public struct StepResult: Sendable, Hashable {
  /// Its number, from 1.
  public let step: Int
  /// Samples in it.
  public let samples: Int
  /// How many of them were classified right, while training; of a network whose objective is labels, how many labels; 0 where
  /// it is values.
  public let correct: Int
  /// Mean loss of the last block, which is the network's own.
  public let loss: Double
  /// The learning rate that it was done with.
  public let learningRate: Double
  /// How long it took at work.
  public let duration: Duration

  init(_ result: lg_step_result) {
    (step, samples, correct) = (Int(result.step), result.samples, result.correct)
    (loss, learningRate, duration) = (result.loss, result.learning_rate, .seconds(result.seconds))
  }
}

/// Where a trainer stands.
public struct TrainerStatus: Sendable, Hashable {
  /// Local blocks.
  public let blocks: Int
  /// The most samples in a step.
  public let batch: Int
  /// Samples that were pushed and wait for the next step.
  public let pending: Int
  /// Steps done.
  public let steps: Int
  /// Samples trained on.
  public let samples: Int
  /// How long it has been at work in training.
  public let duration: Duration
  /// The learning rate of the next step.
  public let learningRate: Double
  /// Blocks that are done of a step that was interrupted; nil between two steps.
  public let blocksDone: Int?
  /// Whether an error came in the middle of a step: go back to a checkpoint or a saved state.
  public let isDamaged: Bool

  init(_ info: lg_trainer_info) {
    (blocks, batch, pending) = (info.blocks, info.batch, info.pending)
    (steps, samples) = (Int(info.steps), Int(info.samples))
    (duration, learningRate) = (.seconds(info.seconds), info.learning_rate)
    blocksDone = info.step_is_open == 1 ? info.blocks_done : nil
    isDamaged = info.is_damaged == 1
  }
}

extension Trainer {
  /// Trains every block once, on the samples that were pushed or, where none were, on those that the source gives;
  /// finishes a step that was interrupted first.
  @discardableResult
  public func step() async throws(LocalgradError) -> StepResult {
    let core = core
    return try await core.call(training: true) { () throws(LocalgradError) in
      var result = lg_step_result()
      result.struct_size = MemoryLayout<lg_step_result>.size
      try core.withSource { () throws(LocalgradError) in try check { lg_trainer_step(core.handle.pointer, &result, $0) } }
      return StepResult(result)
    }
  }

  /// Trains step after step until one of these says stop, there are no more samples, or the task is cancelled, which is
  /// no error: the result says why it returned.
  ///
  /// Checkpoints are saved on the way, as the configuration says, and at the end unless it was cancelled.
  ///
  /// - Parameters:
  ///   - steps: when so many steps are done, those of earlier calls and before a resume counted.
  ///   - epochs: the same in epochs of the source, which must tell ``SampleSource/stepsPerEpoch``.
  ///   - deadline: no step is begun that is likely to end later than this from now, but for the first.
  ///   - watch: is told of each step, on the trainer's thread, and says whether to go on.
  /// - Throws: `.source` with what a source threw, `.notFinite`, and whatever else ended training.
  @discardableResult
  public func train(
    until steps: Int? = nil, epochs: Int? = nil, deadline: Duration? = nil,
    watch: (@Sendable (StepResult) -> Bool)? = nil
  ) async throws(LocalgradError) -> TrainingResult {
    let until = try lastStep(steps, epochs)
    if until == 0 { return try await nothingToDo() }
    let run = TrainingRun(core, until, deadline, configuration, watch)
    return try await training { () throws(LocalgradError) in try run.perform() }
  }

  /// Does `work`, which trains, on the trainer's thread; what ends it, the events tell, too.
  func training(
    _ work: @escaping @Sendable () throws(LocalgradError) -> TrainingResult
  ) async throws(LocalgradError) -> TrainingResult {
    let core = core
    do throws(LocalgradError) {
      return try await core.call(training: true, work)
    } catch {
      if !error.isRefusal { core.pump.finish(throwing: error) }
      throw error
    }
  }

  func nothingToDo() async throws(LocalgradError) -> TrainingResult {
    TrainingResult(reason: .done, steps: try await status().steps, newSteps: 0, loss: nil)
  }

  /// nil for no limit.
  func lastStep(_ steps: Int?, _ epochs: Int?) throws(LocalgradError) -> Int? {
    guard let epochs else { return try steps.map { steps throws(LocalgradError) in try size(steps, "until") } }
    guard let length = core.sourceInUse?.source.stepsPerEpoch else {
      throw .configuration("the source does not say how long an epoch is; say until which step to train")
    }
    let (last, overflow) = try size(epochs, "epochs").multipliedReportingOverflow(by: length)
    return overflow ? steps : min(last, steps ?? last)
  }

  /// Where the trainer stands.
  public func status() async throws(LocalgradError) -> TrainerStatus {
    let core = core
    return try await core.call { () throws(LocalgradError) in TrainerStatus(try core.describe()) }
  }

  /// The loss of each block in the last step; nil before the first and for frozen blocks.
  public func losses() async throws(LocalgradError) -> [Double?] {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var losses = [Double](repeating: .nan, count: try core.describe().blocks)
      try check { lg_trainer_losses(core.handle.pointer, &losses, losses.count, $0) }
      return losses.map { $0.isNaN ? nil : $0 }
    }
  }
}

extension LocalgradError {
  /// Whether nothing was begun.
  fileprivate var isRefusal: Bool {
    switch self {
    case .busy, .closed, .configuration, .argument: return true
    default: return false
    }
  }
}

extension TrainerCore {
  func describe() throws(LocalgradError) -> lg_trainer_info {
    var info = lg_trainer_info()
    info.struct_size = MemoryLayout<lg_trainer_info>.size
    try check { lg_trainer_describe(handle.pointer, &info, $0) }
    return info
  }

  /// Makes a call that may ask the source, and throws what that threw.
  func withSource<Result>(_ call: () throws(LocalgradError) -> Result) throws(LocalgradError) -> Result {
    try throwing(from: sourceInUse, call)
  }

  /// The same of a source that is used for this call alone.
  func throwing<Result>(
    from box: SourceBox?, _ call: () throws(LocalgradError) -> Result
  ) throws(LocalgradError) -> Result {
    defer { box?.error = nil }
    do throws(LocalgradError) {
      return try call()
    } catch {
      throw sourceFailure(box) ?? error
    }
  }

  private func sourceFailure(_ box: SourceBox?) -> LocalgradError? {
    switch box?.error {
    case nil: return nil
    case let error as LocalgradError: return error
    case is Interruption: return .cancelled("the call was stopped while it waited for samples")
    case let error?: return .source(error, "the source of samples failed: \(error)")
    }
  }
}

/// One call of `train`, on the trainer's thread.
final class TrainingRun: @unchecked Sendable {
  private let core: TrainerCore
  private var options = lg_run_options()
  private let deadline: Duration?
  private let watch: (@Sendable (StepResult) -> Bool)?
  private var last: StepResult?
  private var newSteps = 0

  init(
    _ core: TrainerCore, _ until: Int?, _ deadline: Duration?, _ configuration: TrainerConfiguration,
    _ watch: (@Sendable (StepResult) -> Bool)?
  ) {
    (self.core, self.deadline, self.watch) = (core, deadline, watch)
    options.struct_size = MemoryLayout<lg_run_options>.size
    options.until_step = UInt64(until ?? 0)
    // A deadline that is over still gives its one step.
    options.milliseconds = deadline.map { max($0.milliseconds, 1) } ?? 0
    if configuration.checkpoints != nil {
      options.checkpoint_steps = UInt64(max(configuration.checkpointSteps, 0))
      options.checkpoint_milliseconds = max(configuration.checkpointEvery.milliseconds, 1)
    }
    options.watch = { run, step in
      guard let run, let step else { return -1 }
      return Unmanaged<TrainingRun>.fromOpaque(run).takeUnretainedValue().stepIsDone(step.pointee)
    }
  }

  private func stepIsDone(_ step: lg_step_result) -> Int32 {
    let step = StepResult(step)
    (last, newSteps) = (step, newSteps + 1)
    core.pump.drain()
    return watch?(step) == false ? 1 : 0
  }

  func perform() throws(LocalgradError) -> TrainingResult {
    let box = core.sourceInUse
    let feed = box?.source as? AsyncFeed
    feed?.begin(deadline: deadline.map { Date(timeIntervalSinceNow: Double($0.milliseconds) / 1000) })
    if core.isCancelled { feed?.cancel() }
    options.user_data = Unmanaged.passUnretained(self).toOpaque()
    var result = lg_run_result()
    result.struct_size = MemoryLayout<lg_run_result>.size
    do throws(LocalgradError) {
      try core.withSource { () throws(LocalgradError) in
        try check { lg_trainer_run(core.handle.pointer, &options, &result, $0) }
      }
    } catch {
      guard case .cancelled = error, let interruption = box?.interruption else { throw error }
      return try interrupted(interruption)
    }
    return TrainingResult(
      reason: Reason(rawValue: result.reason) ?? .stopped, steps: Int(result.steps), newSteps: Int(result.new_steps),
      loss: result.loss.isNaN ? nil : result.loss)
  }

  /// The wait for samples was over before there were any.
  private func interrupted(_ interruption: Interruption) throws(LocalgradError) -> TrainingResult {
    // A trainer that was closed meanwhile does not say.
    let steps = (try? core.describe()).map { Int($0.steps) } ?? last?.step ?? 0
    if interruption == .late, options.checkpoint_milliseconds > 0, newSteps > 0 {
      try check { lg_trainer_save(core.handle.pointer, $0) }
    }
    return TrainingResult(
      reason: interruption == .late ? .deadline : .cancelled, steps: steps, newSteps: newSteps, loss: last?.loss)
  }
}

extension Duration {
  /// Rounded up.
  var milliseconds: UInt64 {
    let (seconds, attoseconds) = components
    if seconds < 0 || attoseconds < 0 { return 0 }
    let part = UInt64((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    return UInt64(min(seconds, Int64(1) << 50)) * 1000 + part
  }
}
