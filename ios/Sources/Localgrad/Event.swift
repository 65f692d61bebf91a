// What happens while a trainer works.

import CLocalgrad

/// Something that happened to a trainer.
public enum Event: Sendable {
  /// A block was trained.
  case block(Block)
  /// A step is done.
  case step(Step)
  /// An evaluation is done.
  case evaluation(Evaluation)
  /// A checkpoint was written after so many steps; how long that took.
  case checkpoint(step: Int, duration: Duration)
  /// Something went wrong, and training goes on.
  case warning(step: Int, String)

  /// A call that computes waits, because the trainer is paused.
  case paused(step: Int, PauseReason)
  /// It goes on.
  case resumed(step: Int)
  /// The share of the time that is spent at work is another.
  case pace(step: Int, workFraction: Double, PauseReason)

  /// A block was trained.
  public struct Block: Sendable, Hashable {
    /// Steps that were done before.
    public let step: Int
    /// The block, from 0.
    public let block: Int
    /// Mean loss of a sample; nil for a frozen block, which has none.
    public let loss: Double?
  }

  /// A step is done.
  public struct Step: Sendable, Hashable {
    /// Its number, from 1.
    public let step: Int
    /// Samples in it.
    public let samples: Int
    /// Mean loss of the last block, which is the network's own.
    public let loss: Double
    /// Share of its samples that were classified right while training, in [0, 1], or of the labels; not a number where
    /// answers are values.
    public let accuracy: Double
    /// How long it took at work.
    public let duration: Duration
    /// How far training has come towards its number of steps, in [0, 1]; 0 where it has none.
    public let progress: Double
    /// The most memory that was in use at one time.
    public let peak: Bytes
  }

  /// How far training has come, of a step; nil of other events.
  public var progress: Double? {
    if case .step(let step) = self { return step.progress }
    return nil
  }

  /// nil for a kind that this package does not know.
  init?(_ event: lg_event) {
    let (step, duration) = (Int(event.step), Duration.seconds(event.seconds))
    switch UInt32(event.kind) {
    case LG_EVENT_KIND_BLOCK.rawValue:
      self = .block(Block(step: step, block: Int(event.block), loss: event.loss.isNaN ? nil : event.loss))
    case LG_EVENT_KIND_STEP.rawValue:
      self = .step(
        Step(
          step: step, samples: Int(event.samples), loss: event.loss, accuracy: event.accuracy, duration: duration,
          progress: event.progress, peak: Bytes(Int(event.peak_bytes))))
    case LG_EVENT_KIND_EVALUATION.rawValue:
      self = .evaluation(
        Evaluation(
          samples: Int(event.samples), accuracy: event.accuracy, loss: event.loss, metricName: fixedText(event.text),
          metric: event.metric))
    case LG_EVENT_KIND_CHECKPOINT.rawValue:
      self = .checkpoint(step: step, duration: duration)
    case LG_EVENT_KIND_WARNING.rawValue:
      self = .warning(step: step, fixedText(event.text))
    case LG_EVENT_KIND_PAUSED.rawValue:
      self = .paused(step: step, PauseReason(rawValue: event.pause_reason))
    case LG_EVENT_KIND_RESUMED.rawValue:
      self = .resumed(step: step)
    case LG_EVENT_KIND_PACE.rawValue:
      self = .pace(step: step, workFraction: event.work_fraction, PauseReason(rawValue: event.pause_reason))
    default:
      return nil
    }
  }
}

/// Why training waits, or works less. Numbers other than these are yours to use.
public struct PauseReason: RawRepresentable, Sendable, Hashable {
  /// An `lg_pause_reason`, or a number of yours.
  public let rawValue: Int32

  /// A reason of this number.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// Somebody wished it.
  public static let user = PauseReason(rawValue: 0)
  /// The device is hot.
  public static let thermal = PauseReason(rawValue: 1)
  /// The battery is low, or does not charge.
  public static let battery = PauseReason(rawValue: 2)
  /// The app is not in the foreground, or the system wants its time for others.
  public static let background = PauseReason(rawValue: 3)
  /// Work is to take a share of the time alone.
  public static let workFraction = PauseReason(rawValue: 4)
}

/// What an evaluation found.
public struct Evaluation: Sendable, Hashable {
  /// Samples.
  public let samples: Int
  /// Share of them that were classified right, in [0, 1]; of a network whose objective is labels the share of the right
  /// answers, and not a number of one whose objective is values.
  public let accuracy: Double
  /// Mean cross-entropy, or loss of the network's objective.
  public let loss: Double
  /// What the network is judged by: "accuracy", "label_accuracy" or, of values, "mean_absolute_error", which is the better the
  /// less.
  public let metricName: String
  /// Its value.
  public let metric: Double
}
