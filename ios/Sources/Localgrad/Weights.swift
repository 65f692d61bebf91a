// Weights by name, in memory: what federated averaging exchanges, without files.

import CLocalgrad
import Foundation

/// A weight, or a running statistic, of a network.
public struct Weight: Sendable, Hashable {
  /// The name that it is exported under, such as "layer1.0.conv1.weight".
  public let name: String
  /// The block that it is part of, from 0.
  public let block: Int
  /// Its shape, as PyTorch has it: outputs, inputs, rows, columns of a convolution.
  public let shape: [Int]
  /// Whether it is a running statistic of batch norm, which no gradient changes.
  public let isStatistic: Bool

  /// Its numbers.
  public var count: Int { shape.reduce(1, *) }
}

extension Trainer {
  /// The weights and running statistics of a block, from 0, or of the whole network. Auxiliary networks are none of it.
  public func weightList(block: Int? = nil) async throws(LocalgradError) -> [Weight] {
    let core = core
    return try await core.call { () throws(LocalgradError) in try core.weightList(block) }
  }

  /// The numbers of all weights and running statistics of a block, from 0, or of the whole network, by name.
  public func weights(block: Int? = nil) async throws(LocalgradError) -> [String: [Float]] {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var all = [String: [Float]]()
      for weight in try core.weightList(block) {
        var numbers = [Float](repeating: 0, count: weight.count)
        try numbers.withUnsafeMutableBytes { place in
          Result { () throws(LocalgradError) in try core.readWeight(weight.name, .float32, place) }
        }.get()
        all[weight.name] = numbers
      }
      return all
    }
  }

  /// The same as bytes, in the machine's order, in two or four a number.
  public func weightData(
    block: Int? = nil, _ precision: Precision = .float16
  ) async throws(LocalgradError) -> [String: Data] {
    let core = core
    return try await core.call { () throws(LocalgradError) in
      var all = [String: Data]()
      for weight in try core.weightList(block) {
        var bytes = [UInt8](repeating: 0, count: weight.count * (precision == .float16 ? 2 : 4))
        try bytes.withUnsafeMutableBytes { place in
          Result { () throws(LocalgradError) in try core.readWeight(weight.name, precision, place) }
        }.get()
        all[weight.name] = Data(bytes)
      }
      return all
    }
  }

  /// Sets the numbers of the weights of these names; others stay. What the optimizer remembers stays, too. All must be
  /// finite. The first that does not fit ends it: those before it, in the order of their names, are set.
  public func setWeights(_ weights: [String: [Float]]) async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      core.noteOtherWeights()
      for (name, numbers) in weights.sorted(by: { $0.key < $1.key }) {
        try numbers.withUnsafeBytes { bytes in
          Result { () throws(LocalgradError) in try core.writeWeight(name, .float32, bytes) }
        }.get()
      }
    }
  }

  /// The same from bytes as ``weightData(block:_:)`` gives them.
  public func setWeights(_ weights: [String: Data], _ precision: Precision) async throws(LocalgradError) {
    let core = core
    try await core.call { () throws(LocalgradError) in
      core.noteOtherWeights()
      for (name, data) in weights.sorted(by: { $0.key < $1.key }) {
        try data.withUnsafeBytes { bytes in
          Result { () throws(LocalgradError) in try core.writeWeight(name, precision, bytes) }
        }.get()
      }
    }
  }
}

extension TrainerCore {
  func weightList(_ block: Int?) throws(LocalgradError) -> [Weight] {
    let block = try block.map { block throws(LocalgradError) in try size(block, "block") } ?? Int(LG_ALL_BLOCKS)
    var count = 0
    try check { lg_trainer_weight_count(handle.pointer, block, &count, $0) }
    var all = [Weight]()
    for index in 0..<count {
      let name = try text { lg_trainer_weight_name(handle.pointer, block, index, $0, $1, $2, $3) }
      var info = lg_weight_info()
      info.struct_size = MemoryLayout<lg_weight_info>.size
      try check { lg_trainer_weight_describe(handle.pointer, name, &info, $0) }
      let extents = withUnsafeBytes(of: info.extents) { Array($0.bindMemory(to: Int.self).prefix(info.rank)) }
      all.append(Weight(name: name, block: info.block, shape: extents, isStatistic: info.is_statistic == 1))
    }
    return all
  }

  /// Fills `place` with the numbers.
  func readWeight(
    _ name: String, _ precision: Precision, _ place: UnsafeMutableRawBufferPointer
  ) throws(LocalgradError) {
    var written = 0
    try check {
      lg_trainer_weight_get(
        handle.pointer, name, precision.rawValue, place.baseAddress, place.count, &written, $0)
    }
  }

  func writeWeight(
    _ name: String, _ precision: Precision, _ bytes: UnsafeRawBufferPointer
  ) throws(LocalgradError) {
    try check {
      lg_trainer_weight_set(handle.pointer, name, precision.rawValue, bytes.baseAddress, bytes.count, $0)
    }
  }
}

/// A text that C writes: asked for its size, then for itself.
func text(
  _ write: (UnsafeMutablePointer<CChar>?, Int, UnsafeMutablePointer<Int>, OpaquePointer?) -> Int32
) throws(LocalgradError) -> String {
  var needed = 0
  try check { write(nil, 0, &needed, $0) }
  var buffer = [CChar](repeating: 0, count: needed)
  try check { write(&buffer, buffer.count, &needed, $0) }
  return buffer.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
