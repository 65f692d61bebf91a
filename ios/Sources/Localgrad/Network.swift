// Networks as data.

import CLocalgrad
import Foundation

/// The size of an image that a network takes.
public struct ImageShape: Sendable, Hashable {
  /// Channels: 1 for grey, 3 for colours.
  public var channels: Int
  /// Rows.
  public var height: Int
  /// Columns.
  public var width: Int

  /// An image of `channels` times `height` times `width` numbers.
  public init(channels: Int = 3, height: Int = 32, width: Int = 32) {
    (self.channels, self.height, self.width) = (channels, height, width)
  }

  /// Numbers in an image.
  public var elements: Int { channels * height * width }
}

/// A network as data, with the weights and names that it was given. It never changes, so any number of tasks may use it
/// at once.
public final class Network: Sendable {
  /// The way around a residual unit that changes the shape.
  public enum Shortcut: Int32, Sendable {
    /// A 1x1 convolution.
    case project = 0
    /// Every second row and column, with channels of zeros.
    case pad = 1
  }

  let handle: Handle
  /// Its name.
  public let name: String
  /// The images that it takes; of tokens an image of one channel and one row, as many columns as a sample has tokens.
  public let input: ImageShape
  /// How many tokens there are to choose from, where samples are tokens, see ``Samples/init(tokens:labels:)``; 0: they are
  /// images.
  public let vocabulary: Int
  /// What it answers with, and the loss that it is trained by.
  public let objective: Objective
  /// How many classes it tells apart, or how many labels or values it answers with.
  public let classes: Int
  /// Units: the places that it can be cut at, plus 1.
  public let units: Int
  /// Trained numbers, auxiliary networks not counted.
  public let parameters: Int
  /// The names of its classes; empty where nobody named them.
  public let classNames: [String]
  /// Whether it carries weights, which its trainers begin with.
  public let hasWeights: Bool
  /// Whether it carries its normalisation, which its trainers use where their configuration names none.
  public let hasNormalization: Bool

  /// The network called `named`, one of ``Library/models``.
  ///
  /// - Parameters:
  ///   - classes: how many classes there are, or labels or values, as `objective` says.
  ///   - widths: the widths of the stem and of each stage, where they are not the published ones; CIFAR ResNets only.
  ///   - objective: what it answers with, and the loss that it is trained by.
  ///   - vocabulary: how many tokens there are to choose from, where samples are rows of `input.width` tokens; 0: they are
  ///     images.
  /// - Throws: `.configuration` for a name or a size that there is none of.
  public convenience init(
    named: String, input: ImageShape = ImageShape(), classes: Int = 10, widths: [Int] = [],
    shortcut: Shortcut = .project, objective: Objective = .classes, vocabulary: Int = 0
  ) throws(LocalgradError) {
    let arena = Arena()
    var options = lg_network_options()
    try check("network") { _ in lg_network_options_init(&options, MemoryLayout<lg_network_options>.size) }
    options.channels = try size(input.channels, "channels")
    options.height = try size(input.height, "height")
    options.width = try size(input.width, "width")
    options.classes = try size(classes, "classes")
    options.widths = arena.array(try widths.sizes("widths"))
    options.widths_count = widths.count
    options.shortcut = shortcut.rawValue
    (options.objective, options.huber_delta) = objective.inC
    options.vocabulary = try size(vocabulary, "vocabulary")
    try self.init { lg_network_create(named, &options, $0, $1) }
  }

  /// A network from its description, as ``json()`` writes it.
  public convenience init(json: String) throws(LocalgradError) {
    try self.init { lg_network_from_json(json, $0, $1) }
  }

  /// The network that a safetensors file says it is of, as ``Trainer/export(to:_:)`` and the program write it, with the
  /// file's weights, its normalisation and the names of its classes. A file from elsewhere is known by its tensors, under
  /// torchvision's names, timm's, or Hugging Face's, where it is of a network of the catalogue's widths.
  ///
  /// - Throws: `.format` where the network is not known.
  public convenience init(contentsOf file: URL) throws(LocalgradError) {
    try self.init { lg_network_load(file.path, $0, $1) }
  }

  /// The same from the content of such a file.
  public convenience init(data: Data) throws(LocalgradError) {
    try self.init { place, report in
      data.withUnsafeBytes { lg_network_from_bytes($0.baseAddress, $0.count, place, report) }
    }
  }

  init(_ make: (UnsafeMutablePointer<OpaquePointer?>, OpaquePointer?) -> Int32) throws(LocalgradError) {
    var made: OpaquePointer?
    try check("network") { make(&made, $0) }
    handle = Handle(pointer: made)
    var info = lg_network_info()
    info.struct_size = MemoryLayout<lg_network_info>.size
    var names = [String]()
    do throws(LocalgradError) {
      try check("network") { lg_network_describe(made, &info, $0) }
      for index in 0..<info.class_names {
        names.append(try text { lg_network_class_name(made, index, $0, $1, $2, $3) })
      }
    } catch {
      lg_network_destroy(made)
      throw error
    }
    name = fixedText(info.name)
    input = ImageShape(channels: info.channels, height: info.height, width: info.width)
    vocabulary = info.vocabulary
    objective = Objective(info.objective, huberDelta: info.huber_delta)
    (classes, units, parameters) = (info.classes, info.units, info.parameters)
    (classNames, hasWeights, hasNormalization) = (names, info.has_weights == 1, info.has_normalize == 1)
  }

  /// The same network with a new layer for so many classes, to fine-tune it on other data. One that carries weights keeps
  /// all others.
  public func replacingHead(classes: Int) throws(LocalgradError) -> Network {
    let classes = try size(classes, "classes")
    return try Network { lg_network_replace_head(handle.pointer, classes, $0, $1) }
  }

  /// The same network with a new layer for classes of these names.
  public func replacingHead(classes names: [String]) throws(LocalgradError) -> Network {
    let arena = Arena()
    let texts = arena.array(names.map(arena.text))
    return try Network { lg_network_replace_head_named(handle.pointer, texts, names.count, $0, $1) }
  }

  /// The same network with another objective, to fine-tune it on samples that come with other targets. Replace its head
  /// afterwards: a network may answer with 1 value, but not with 1 class.
  public func replacingObjective(_ objective: Objective) throws(LocalgradError) -> Network {
    let (number, delta) = objective.inC
    return try Network { lg_network_replace_objective(handle.pointer, number, delta, $0, $1) }
  }

  /// The same network with names for its classes, which travel with its trainers into exports and checkpoints.
  public func naming(classes names: [String]) throws(LocalgradError) -> Network {
    let arena = Arena()
    let texts = arena.array(names.map(arena.text))
    return try Network { lg_network_name_classes(handle.pointer, texts, names.count, $0, $1) }
  }

  /// Its description in JSON.
  public func json() throws(LocalgradError) -> String {
    try text { lg_network_to_json(handle.pointer, $0, $1, $2, $3) }
  }

  /// How a trainer with this configuration will train and what memory it needs, without making one.
  ///
  /// - Throws: `.budget` with the least that would do, where nothing keeps to the memory budget.
  public func plan(_ configuration: TrainerConfiguration = TrainerConfiguration()) throws(LocalgradError) -> Plan {
    let arena = Arena()
    var config = try configuration.inC(of: self, arena)
    var plan = lg_plan()
    plan.struct_size = MemoryLayout<lg_plan>.size
    try check("network") { lg_network_plan(handle.pointer, &config, &plan, $0) }
    return Plan(plan)
  }

  deinit {
    lg_network_destroy(handle.pointer)
  }
}

/// A number that C takes as a size.
func size(_ number: Int, _ name: String) throws(LocalgradError) -> Int {
  guard number >= 0 else { throw .argument("\(name) is \(number); it counts from 0") }
  return number
}

extension [Int] {
  func sizes(_ name: String) throws(LocalgradError) -> [Int] {
    if let wrong = first(where: { $0 < 0 }) {
      throw .argument("\(name) holds \(wrong); its numbers count from 0")
    }
    return self
  }
}

/// How a trainer will train, and what it needs; see ``Network/plan(_:)``.
public struct Plan: Sendable, Hashable {
  /// The most bytes that training, evaluations, saving and resuming have in use at one time; an upper bound.
  public let peak: Bytes
  /// The last unit of each local block.
  public let ends: [Int]
  /// Samples that pass through a block at once; nil, which is all.
  public let microBatch: Int?
  /// Whether forward passes are repeated.
  public let recomputes: Bool
  /// What activations wait in.
  public let activations: Precision
  /// Whether what is not at work waits in the scratch file.
  public let offloads: Bool

  init(_ plan: lg_plan) {
    peak = Bytes(plan.peak_bytes)
    ends = withUnsafeBytes(of: plan.ends) { Array($0.bindMemory(to: Int.self).prefix(plan.blocks)) }
    microBatch = plan.micro_batch == 0 ? nil : plan.micro_batch
    recomputes = plan.recompute == 1
    activations = Precision(rawValue: plan.activations) ?? .float32
    offloads = plan.offload == 1
  }
}
