// What is kept of a trainer: checkpoints, states, weights, settings.

import CLocalgrad
import Foundation

/// A number that can be changed.
public enum Setting: Int32, Sendable {
  /// The learning rate that the schedule changes from.
  case learningRate = 0
  /// Momentum, of SGD that has some.
  case momentum = 1
  /// Weight decay.
  case weightDecay = 2
  /// Decay of the mean of gradients, of AdamW.
  case beta1 = 3
  /// Decay of the mean of their squares, of AdamW.
  case beta2 = 4
  /// What keeps the divisor from 0, of AdamW.
  case epsilon = 5
  /// Share of each label that is spread over all classes.
  case labelSmoothing = 6
  /// Largest norm of a block's gradient; 0 for any.
  case clipNorm = 7
}

/// Which weights of a file are taken.
public enum Parts: Int32, Sendable {
  /// All of them, which must be exactly the network's.
  case all = 0
  /// All but the layer that gives the classes, which stays as it is: to fine-tune.
  case body = 1
}

extension Trainer {
  /// Saves a checkpoint. A kill or a full disk leaves the one before whole. `.state` where a step was interrupted.
  public func save() async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      try check { lg_trainer_save(core.handle.pointer, $0) }
    }
  }

  /// What a checkpoint holds, in memory: weights, statistics, the optimizer's memory, settings, the number of steps.
  public func state() async throws(LocalgradError) -> Data {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var needed = 0
      try check { lg_trainer_state_bytes(core.handle.pointer, &needed, $0) }
      var bytes = [UInt8](repeating: 0, count: needed)
      try check { lg_trainer_get_state(core.handle.pointer, &bytes, bytes.count, &needed, $0) }
      return Data(bytes.prefix(needed))
    }
  }

  /// Goes back to a ``state()`` of a trainer made as this one. One that is damaged changes nothing.
  public func restore(_ state: Data) async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      core.noteOtherWeights()
      try check { report in
        state.withUnsafeBytes { lg_trainer_set_state(core.handle.pointer, $0.baseAddress, $0.count, report) }
      }
      try core.readClassNames()
    }
  }

  /// Takes weights and running statistics from a safetensors file, under torchvision's names or known spellings of them.
  /// One that does not fit changes nothing; the sentence lists what is missing, misshapen or left over.
  public func loadWeights(from file: URL, _ parts: Parts = .all) async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      core.noteOtherWeights()
      try check { lg_trainer_load_weights(core.handle.pointer, file.path, parts.rawValue, $0) }
    }
  }

  /// Writes the network's weights and running statistics into a safetensors file, at once or not at all.
  public func export(to file: URL, _ precision: Precision = .float32) async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      try check { lg_trainer_export(core.handle.pointer, file.path, precision.rawValue, $0) }
    }
  }

  /// Sets a number from the next block on, the learning rate from the next step on. Checkpoints and states hold it.
  public func set(_ setting: Setting, to value: Double) async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      try check { lg_trainer_set(core.handle.pointer, setting.rawValue, value, $0) }
    }
  }

  /// A number that can be changed.
  public func value(of setting: Setting) async throws(LocalgradError) -> Double {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var value = 0.0
      try check { lg_trainer_get(core.handle.pointer, setting.rawValue, &value, $0) }
      return value
    }
  }
}
