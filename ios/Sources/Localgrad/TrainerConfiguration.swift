// How a trainer is made.

import CLocalgrad
import Foundation

/// How numbers are stored.
public enum Precision: Int32, Sendable {
  /// Four bytes each.
  case float32 = 0
  /// Two bytes each, with more digits, up to 65504.
  case float16 = 1
  /// Two bytes each, with fewer digits, as large as four bytes hold: for activations; weights are not stored in it.
  case bfloat16 = 2
}

/// How a trainer is made. Every field but those of Swift's own is named as in the C header.
public struct TrainerConfiguration: Sendable {
  /// What makes a loss of a block's output.
  public enum Rule: String, Sendable {
    /// End-to-end training, which needs the memory of the whole network.
    case bp
    /// Local losses without anything of the units that follow.
    case greedy, dgl, predsim, infopro, auglocal
    /// Moving averages of the units that follow.
    case man, manpp
  }

  /// What is trained.
  public enum Train: Sendable, Hashable {
    /// The whole network.
    case all
    /// The head alone, end to end unless blocks are asked for; what comes before stays as it is, and keeps no activations.
    case head
    /// Scales and shifts of norms, and the head.
    case norms
    /// Biases, the shifts of norms among them, and the head; batch norms go by their running statistics.
    case biases
    /// The last units, as many as this, and the head, as one block; the units before stay as they are.
    case lastUnits(Int)

    /// Its name in C, where it has one; nil is all of the blocks that are trained.
    var name: String? {
      switch self {
      case .all, .lastUnits: nil
      case .head: "head"
      case .norms: "norms"
      case .biases: "biases"
      }
    }
  }

  /// How gradients change weights.
  public enum Optimizer: Sendable, Hashable {
    /// Stochastic gradient descent.
    case sgd(momentum: Double = 0.9, nesterov: Bool = true)
    /// Adam with decoupled weight decay.
    case adamW(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8)
  }

  /// How the learning rate changes from step to step.
  public enum Schedule: Sendable, Hashable {
    /// It stays what it is.
    case constant
    /// Half a cosine over `steps`, after `warmup` steps of warm-up.
    case cosine(steps: Int, warmup: Int = 0)
  }

  /// How images are normalised.
  public enum Normalization: Sendable, Hashable {
    /// To numbers from -1 to 1.
    case half
    /// By the means and deviations of a well-known data set.
    case cifar10, imagenet, fashion
    /// Not at all.
    case identity
    /// What is subtracted from each channel, and what it is then divided by.
    case channels(mean: [Float], deviation: [Float])
  }

  /// The rule; nil, which is MAN, or greedy, with one trained block, where only the last units are trained.
  public var rule: Rule?
  /// The classifier of each auxiliary network, such as "dgl" or "auglocal"; nil, which is the rule's own, and of MAN for images
  /// "auglocal" with an `auxDepth` of 1 and an `emaMomentum` of 0.9.
  public var head: String?
  /// What is trained.
  public var train = Train.all
  /// Local blocks to cut the network into; 0, which is the library's choice.
  public var blocks = 0
  /// The last unit of each block, rising, in place of `blocks`.
  public var ends: [Int] = []
  /// The first blocks, as many as this, stay as they are.
  public var frozenBlocks = 0
  /// The most samples in a step.
  public var batch = 32
  /// Samples that pass through a block at once; 0, which is all.
  public var microBatch = 0
  /// Whether to repeat forward passes rather than keep what they leave.
  public var recompute = false
  /// How gradients change weights.
  public var optimizer = Optimizer.sgd()
  /// Bits of each number that it remembers of large weights: 32, or 8, which is a quarter of that memory, rounded block by
  /// block, without `offload` only.
  public var optimizerStateBits: Int32 = 32
  /// Weight decay.
  public var weightDecay = 1e-4
  /// Learning rate.
  public var learningRate = 0.025
  /// How it changes.
  public var schedule = Schedule.constant
  /// Share of each label that is spread over all classes.
  public var labelSmoothing = 0.0
  /// Largest norm of a block's gradient; 0, which is any.
  public var clipNorm = 0.0
  /// How images are normalised; nil, which is as the network says that came from a file, and `.half` for others.
  public var normalize: Normalization?
  /// "cpu", "metal".
  public var device = "cpu"
  /// In what products are multiplied on a device with tensor cores: "f32", "tf32" (11 bits), or "f16" (forward; gradients in
  /// TF32). Sums stay f32, which is also what nil is.
  public var precision: String?
  /// Worker threads; 0, which is one a core, or as many of them as keep to the memory budget.
  public var threads = 0
  /// Seed of weights and dropout.
  public var seed: UInt64 = 0
  /// The most memory that the trainer may have in use at one time; nil, which is any.
  public var memoryBudget: Bytes?
  /// Whether batch norm's statistics are those of the whole step in micro-batches, too.
  public var exactMicroBatches = false
  /// What activations wait in for the backward pass.
  public var activations = Precision.float32
  /// The directory of a file without a name for what is not at work; nil, which is none.
  public var scratch: URL?
  /// The most that this file may hold; nil, which is any.
  public var scratchLimit: Bytes?
  /// Whether weights and features wait in that file in any case.
  public var offload = false
  /// New units of AugLocal's first auxiliary networks; 0, which is 2, or 1 where `head` says so.
  public var auxDepth = 0
  /// Rows and columns of windows whose means new units of AugLocal's take, along sides of 16 and more; 0, which is 1.
  public var auxPool = 0
  /// Share of the old value that moving averages keep in a step; nil, which is the rule's own.
  public var emaMomentum: Double?
  /// Whether the averages of MAN stand alone.
  public var averageAlone = false
  /// The directory of the trainer's checkpoints, which it goes back to where there are some; nil, which is none.
  public var checkpoints: URL?
  /// How many checkpoints are kept.
  public var checkpointsKept = 1
  /// What a kill can cost at most.
  public var checkpointEvery = Duration.seconds(5)
  /// The same in steps; 0, which is any number.
  public var checkpointSteps = 0

  /// The defaults.
  public init() {}

  /// The defaults but for what an app most often sets.
  public init(
    memoryBudget: Bytes? = nil, train: Train = .all, batch: Int = 32, learningRate: Double = 0.025,
    checkpoints: URL? = nil
  ) {
    (self.memoryBudget, self.train, self.batch) = (memoryBudget, train, batch)
    (self.learningRate, self.checkpoints) = (learningRate, checkpoints)
  }

  /// What C takes; its pointers are the arena's.
  func inC(of network: Network, _ arena: Arena) throws(LocalgradError) -> lg_trainer_config {
    var config = lg_trainer_config()
    try check { _ in lg_trainer_config_init(&config, MemoryLayout<lg_trainer_config>.size) }
    try cut(network, &config, arena)
    config.head = arena.text(head)
    config.batch = try size(batch, "batch")
    config.micro_batch = try size(microBatch, "microBatch")
    config.recompute = recompute ? 1 : 0
    switch optimizer {
    case .sgd(let momentum, let nesterov):
      config.optimizer = 0
      (config.momentum, config.nesterov) = (momentum, nesterov ? 1 : 0)
    case .adamW(let beta1, let beta2, let epsilon):
      config.optimizer = 1
      (config.beta1, config.beta2, config.epsilon) = (beta1, beta2, epsilon)
    }
    config.optimizer_state_bits = optimizerStateBits
    (config.weight_decay, config.learning_rate) = (weightDecay, learningRate)
    if case .cosine(let steps, let warmup) = schedule {
      config.schedule = 1
      config.schedule_steps = try size(steps, "steps")
      config.warmup_steps = try size(warmup, "warmup")
    }
    (config.label_smoothing, config.clip_norm) = (labelSmoothing, clipNorm)
    try normalise(network, &config, arena)
    config.device = arena.text(device)
    config.precision = arena.text(precision)
    config.threads = try size(threads, "threads")
    config.seed = seed
    if let memoryBudget {
      guard memoryBudget.count > 0 else {
        throw .argument("a memory budget of \(memoryBudget.count) bytes is none; leave it nil for any")
      }
      config.memory_budget_bytes = memoryBudget.count
    }
    config.exact_micro_batches = exactMicroBatches ? 1 : 0
    config.activations = activations.rawValue
    config.scratch = arena.text(scratch?.path)
    config.scratch_limit_bytes = UInt64(try size(scratchLimit?.count ?? 0, "scratchLimit"))
    config.offload = offload ? 1 : 0
    config.aux_depth = try size(auxDepth, "auxDepth")
    config.aux_pool = try size(auxPool, "auxPool")
    config.ema_momentum = emaMomentum ?? -1
    config.average_alone = averageAlone ? 1 : 0
    return config
  }

  private func cut(
    _ network: Network, _ config: inout lg_trainer_config, _ arena: Arena
  ) throws(LocalgradError) {
    guard case .lastUnits(let count) = train else {
      let isCut = blocks != 0 || !ends.isEmpty || frozenBlocks != 0 || head != nil
      config.rule = arena.text((rule ?? (train == .head && !isCut ? .bp : nil))?.rawValue)
      config.train = arena.text(train.name)
      config.blocks = try size(blocks, "blocks")
      config.ends = arena.array(try ends.sizes("ends"))
      (config.ends_count, config.frozen_blocks) = (ends.count, try size(frozenBlocks, "frozenBlocks"))
      return
    }
    guard blocks == 0, ends.isEmpty, frozenBlocks == 0 else {
      throw .configuration(
        """
        train says which units are trained, and so do blocks, ends and frozenBlocks; leave them 0 and empty, or train .all
        """)
    }
    guard (1...network.units).contains(count) else {
      throw .configuration(
        "the last \(count) of \(network.units) units cannot be trained; choose from 1 to \(network.units)")
    }
    // One block, which the network's own loss trains, behind one that stays as it is.
    config.rule = arena.text((rule ?? .greedy).rawValue)
    let last = network.units - 1
    let ends = count == network.units ? [last] : [last - count, last]
    config.ends = arena.array(ends)
    (config.ends_count, config.frozen_blocks) = (ends.count, ends.count - 1)
  }

  private func normalise(
    _ network: Network, _ config: inout lg_trainer_config, _ arena: Arena
  ) throws(LocalgradError) {
    switch normalize {
    case nil: break
    case .half: config.normalize = arena.text("half")
    case .cifar10: config.normalize = arena.text("cifar10")
    case .imagenet: config.normalize = arena.text("imagenet")
    case .fashion: config.normalize = arena.text("fashion")
    case .identity: config.normalize = arena.text("identity")
    case .channels(let mean, let deviation):
      let channels = network.input.channels
      guard mean.count == channels, deviation.count == channels else {
        throw .configuration(
          "\(mean.count) means and \(deviation.count) deviations were given for images of \(channels) channels")
      }
      (config.mean, config.deviation) = (arena.array(mean), arena.array(deviation))
    }
  }
}
