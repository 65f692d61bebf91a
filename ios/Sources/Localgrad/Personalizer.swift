// Fine-tuning on a person's own images: the one class that most apps need.

import CLocalgrad
import Foundation

/// Learns a person's own classes from a few images of each, on top of a network that was trained before. Of a network whose
/// ``Objective`` is labels, such as ``Network/replacingObjective(_:)`` makes, an image has any number of them.
///
/// Images and class names are kept in a directory of its own, beside the checkpoints, so that the same lines go on after a
/// kill where it left off. Nothing leaves the device.
public actor Personalizer {
  /// What is trained, and how.
  public struct Configuration: Sendable {
    /// The trainer's configuration; its `checkpoints` are the personalizer's to set.
    public var trainer: TrainerConfiguration
    /// How often each image comes, where ``Personalizer/train(epochs:deadline:)`` is not told.
    public var epochs = 30
    /// The most bytes, beside the memory budget, for what the part of the network that stays as it is makes of images: each
    /// passes it once, and not in every epoch. That changes no result, but for last digits where a step has fewer images than
    /// a batch. Where all of them would take more, or this is 0, nothing is kept.
    public var featureMemory = Bytes.mebibytes(64)

    /// The last two units and the head learn, in steps of 16 images.
    public init(
      train: TrainerConfiguration.Train = .lastUnits(2), memoryBudget: Bytes? = nil, batch: Int = 16,
      learningRate: Double = 0.01
    ) {
      trainer = TrainerConfiguration(memoryBudget: memoryBudget, train: train, batch: batch, learningRate: learningRate)
    }
  }

  /// The trainer at work, to follow and to steer.
  public nonisolated let trainer: Trainer
  /// The classes, or the labels, in their order.
  public nonisolated let classes: [String]
  private let configuration: Configuration
  private let album: Album
  private let kept: KeptFeatures

  /// Goes on with what `directory` holds, or begins there with the weights that the network carries or that `pretrained`
  /// holds.
  ///
  /// - Parameters:
  ///   - network: what was trained before; its head may have any number of classes.
  ///   - pretrained: a safetensors file with its weights, where it carries none.
  ///   - classes: what to tell apart, or the labels to find, 32 at most. Classes that are added behind those of an earlier
  ///     time make training begin anew, with the images that are there; other changes are refused.
  /// - Throws: `.configuration` where there are no weights, the network answers with values or takes tokens, or the directory
  ///   holds other classes or images of another size; `.format` where the weights do not fit the network.
  public init(
    _ network: Network, weights pretrained: URL? = nil, classes: [String], in directory: URL,
    configuration: Configuration = Configuration()
  ) async throws(LocalgradError) {
    guard network.hasWeights || pretrained != nil else {
      throw .configuration("the network carries no weights; load it by Network(contentsOf:), or name a file of weights")
    }
    guard !network.objective.areValues else {
      throw .configuration(
        "a personalizer learns classes or labels, and \(network.name) answers with values; use a Trainer")
    }
    guard network.vocabulary == 0 else {
      throw .configuration("a personalizer keeps images, and \(network.name) takes tokens; use a Trainer")
    }
    let album = try Album(
      directory, classes, imageBytes: network.input.elements, hasLabels: network.objective == .labels)
    var trained = configuration.trainer
    trained.checkpoints = directory.appendingPathComponent("checkpoints")
    let trainer = try Trainer(network.replacingHead(classes: classes), trained)
    // None where the first unit is trained.
    let each = (try? await trainer.featureCount()) ?? 0
    kept = KeptFeatures(trainer.core, each: each, limit: configuration.featureMemory)
    (self.trainer, self.classes, self.configuration, self.album) = (trainer, classes, configuration, album)
    guard !trainer.isResumed else { return }
    if let pretrained { try await trainer.loadWeights(from: pretrained, .body) }
    try await trainer.save()
    // From here on what lies in the directory is a beginning.
    try album.keepClasses()
  }

  /// How many images there are of each class, or have each label.
  public var counts: [String: Int] { album.counts }

  /// Adds one image: bytes of the network's own size, pixel by pixel.
  public func add(_ image: Data, as name: String) throws(LocalgradError) {
    try add(image, as: [name])
  }

  /// The same of an image that has these labels and no others.
  public func add(_ image: Data, as names: Set<String>) throws(LocalgradError) {
    try album.add(image, album.answer(names))
  }

  /// What the network sees of a frame, to add or to predict. On any thread; the frame is read before this returns.
  public nonisolated func image(of frame: Frame) throws(LocalgradError) -> Data {
    try trainer.network.image(of: frame)
  }

  /// Trains until each image has come `epochs` times, earlier calls counted, the time is over or the task is cancelled. A
  /// checkpoint is left in any case but the last, where the one before counts.
  @discardableResult
  public func train(epochs: Int? = nil, deadline: Duration? = nil) async throws(LocalgradError) -> TrainingResult {
    let source = try source()
    try await trainer.setSource(source)
    return try await trainer.learn(source, epochs: epochs ?? configuration.epochs, deadline: deadline)
  }

  private func source() throws(LocalgradError) -> KeptImages {
    guard let images = try album.images(batch: configuration.trainer.batch, seed: configuration.trainer.seed) else {
      throw .configuration("there are no images to train on; add some of each class")
    }
    return KeptImages(images: images, kept: kept)
  }

  /// How many images have passed the part of the network that stays as it is, so that what it made of them is kept, since this
  /// personalizer was made. See ``Configuration/featureMemory``.
  public nonisolated var passes: Int { kept.passes }

  /// What the network takes an image of its own size for, the likeliest class or label first.
  public func predict(_ image: Data) async throws(LocalgradError) -> [Prediction] {
    try await trainer.predict(image: image)
  }

  /// How good the network is on its own images, which it should know best.
  public func evaluate() async throws(LocalgradError) -> Evaluation {
    var source = try source()
    try await trainer.keep(source)
    source.isInOrder = true
    return try await trainer.evaluate(source: source)
  }

  /// How good the network is on images that it was not trained on.
  public func evaluate(_ images: [(image: Data, name: String)]) async throws(LocalgradError) -> Evaluation {
    let named: [(image: Data, names: Set<String>)] = images.map { (image: $0.image, names: [$0.name]) }
    return try await evaluate(named)
  }

  /// The same on images that have these labels and no others.
  public func evaluate(_ images: [(image: Data, names: Set<String>)]) async throws(LocalgradError) -> Evaluation {
    var (bytes, answers) = (Data(), [Int]())
    for (image, names) in images {
      bytes.append(image)
      answers.append(try album.answer(names))
    }
    return try await trainer.evaluate(album.samples(bytes, answers))
  }

  /// The weights that were trained, by name: those of the last units and the head.
  public func trainedWeights() async throws(LocalgradError) -> [String: [Float]] {
    try await trainer.weights(block: try await trainer.status().blocks - 1)
  }

  /// Writes the whole fine-tuned network, with its class names, into a safetensors file.
  public func export(to file: URL, _ precision: Precision = .float32) async throws(LocalgradError) {
    try await trainer.export(to: file, precision)
  }

  /// Ends the trainer; what the directory holds stays.
  public nonisolated func close() {
    trainer.close()
  }

  /// Forgets the images and all that was learned of them in a directory; close a personalizer that is at work there before.
  public static func forget(in directory: URL) throws(LocalgradError) {
    try Album.forget(directory)
  }
}

#if canImport(CoreVideo)
  import CoreVideo

  extension Personalizer {
    /// Adds what the network sees of a pixel buffer, which is read before anything waits.
    public func add(
      _ buffer: CVPixelBuffer, as name: String, rotation: Frame.Rotation = .none,
      isolation: isolated (any Actor)? = #isolation
    ) async throws(LocalgradError) {
      try await add(try trainer.network.image(of: buffer, rotation: rotation), as: name)
    }

    /// The same of a pixel buffer that has these labels and no others.
    public func add(
      _ buffer: CVPixelBuffer, as names: Set<String>, rotation: Frame.Rotation = .none,
      isolation: isolated (any Actor)? = #isolation
    ) async throws(LocalgradError) {
      try await add(try trainer.network.image(of: buffer, rotation: rotation), as: names)
    }

    /// What the network takes a pixel buffer for, the likeliest class or label first.
    public func predict(
      _ buffer: CVPixelBuffer, rotation: Frame.Rotation = .none, isolation: isolated (any Actor)? = #isolation
    ) async throws(LocalgradError) -> [Prediction] {
      try await trainer.predict(buffer, rotation: rotation)
    }
  }
#endif
