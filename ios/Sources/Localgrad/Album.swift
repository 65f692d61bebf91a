// The images and class names of a personalizer, in files.

import Foundation

/// A directory with `classes.json`, `images.bin` and `checkpoints`.
///
/// `images.bin` only grows: of each image its label in four bytes, least first, or a bit in these for each label that it has,
/// and its pixels. What a kill left of a last image is cut off.
final class Album {
  /// Labels that four bytes have bits for.
  static let mostLabels = 32

  private let directory: URL
  private let classes: [String]
  /// Whether an image has any number of the classes, which are labels then.
  private let hasLabels: Bool
  private let imageBytes: Int
  private var pixels = Data()
  private var answers: [Int] = []

  private struct Kept: Codable {
    var classes: [String]
    var imageBytes: Int
    /// Not said of classes.
    var hasLabels: Bool?
  }

  init(_ directory: URL, _ classes: [String], imageBytes: Int, hasLabels: Bool) throws(LocalgradError) {
    (self.directory, self.classes, self.imageBytes, self.hasLabels) = (directory, classes, imageBytes, hasLabels)
    guard hasLabels || classes.count >= 2, Set(classes).count == classes.count, !classes.contains("") else {
      throw .configuration("\(classes) are no classes to tell apart; give two or more, each with a name of its own")
    }
    guard !hasLabels || (1...Self.mostLabels).contains(classes.count) else {
      throw .configuration(
        "a personalizer keeps 1 to \(Self.mostLabels) labels, and these are \(classes.count); use a Trainer for more")
    }
    try files { try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true) }
    let kept = try read()
    if kept?.classes != classes {
      // Of a beginning that was not finished, or of fewer classes.
      let checkpoints = directory.appendingPathComponent("checkpoints")
      if FileManager.default.fileExists(atPath: checkpoints.path) {
        try files { try FileManager.default.removeItem(at: checkpoints) }
      }
    }
    try readImages()
  }

  static func forget(_ directory: URL) throws(LocalgradError) {
    for name in ["checkpoints", "images.bin", "classes.json"] {
      let file = directory.appendingPathComponent(name)
      if FileManager.default.fileExists(atPath: file.path) {
        try files { try FileManager.default.removeItem(at: file) }
      }
    }
  }

  private func read() throws(LocalgradError) -> Kept? {
    let file = directory.appendingPathComponent("classes.json")
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    let bytes = try files { try Data(contentsOf: file) }
    guard let kept = try? JSONDecoder().decode(Kept.self, from: bytes) else {
      throw .format("\(file.path) is damaged; Personalizer.forget(in:) lets it begin anew")
    }
    guard kept.imageBytes == imageBytes else {
      throw .configuration(
        """
        \(directory.path) holds images of \(kept.imageBytes) bytes, and this network takes \(imageBytes); use another \
        directory, or Personalizer.forget(in:)
        """)
    }
    guard (kept.hasLabels ?? false) == hasLabels else {
      throw .configuration(
        """
        \(directory.path) holds images with \(hasLabels ? "a class" : "labels") each, and this network learns \
        \(hasLabels ? "labels" : "classes"); use another directory, or Personalizer.forget(in:)
        """)
    }
    guard classes.starts(with: kept.classes) else {
      throw .configuration(
        """
        \(directory.path) holds the classes \(kept.classes.joined(separator: ", ")); new ones go behind them; for others \
        use another directory, or Personalizer.forget(in:)
        """)
    }
    return kept
  }

  private func readImages() throws(LocalgradError) {
    let file = directory.appendingPathComponent("images.bin")
    guard FileManager.default.fileExists(atPath: file.path) else { return }
    let bytes = try files { try Data(contentsOf: file, options: .mappedIfSafe) }
    let record = 4 + imageBytes
    for first in stride(from: 0, to: bytes.count - bytes.count % record, by: record) {
      let answer = (0..<4).reduce(0) { $0 | Int(bytes[first + $1]) << (8 * $1) }
      guard answer < (hasLabels ? 1 << classes.count : classes.count) else {
        throw .format("\(file.path) is damaged at byte \(first); Personalizer.forget(in:) lets it begin anew")
      }
      answers.append(answer)
      pixels.append(bytes[first + 4..<first + record])
    }
    if bytes.count % record != 0 {
      try files {
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        try handle.truncate(atOffset: UInt64(answers.count * record))
      }
    }
  }

  /// Says that the directory is a beginning with these classes.
  func keepClasses() throws(LocalgradError) {
    let kept = Kept(classes: classes, imageBytes: imageBytes, hasLabels: hasLabels ? true : nil)
    try files {
      try JSONEncoder().encode(kept).write(to: directory.appendingPathComponent("classes.json"), options: .atomic)
    }
  }

  /// The number of a class, or the bits of labels.
  func answer(_ names: Set<String>) throws(LocalgradError) -> Int {
    var found = [Int]()
    for name in names {
      guard let number = classes.firstIndex(of: name) else {
        throw .argument("there is no class \(name) among \(classes.joined(separator: ", "))")
      }
      found.append(number)
    }
    if hasLabels { return found.reduce(0) { $0 | 1 << $1 } }
    guard let number = found.first, found.count == 1 else {
      throw .argument(
        "an image is of one class, and \(found.count) were given; a network whose objective is labels takes any number")
    }
    return number
  }

  func add(_ image: Data, _ answer: Int) throws(LocalgradError) {
    guard image.count == imageBytes else {
      throw .shape("an image of \(image.count) bytes was given, and the network takes \(imageBytes)")
    }
    let file = directory.appendingPathComponent("images.bin")
    var record = Data((0..<4).map { UInt8(truncatingIfNeeded: answer >> (8 * $0)) })
    record.append(image)
    try files {
      if !FileManager.default.fileExists(atPath: file.path) { try Data().write(to: file) }
      let handle = try FileHandle(forWritingTo: file)
      defer { try? handle.close() }
      try handle.seekToEnd()
      try handle.write(contentsOf: record)
    }
    answers.append(answer)
    pixels.append(image)
  }

  var counts: [String: Int] {
    var counts = [String: Int]()
    for (number, name) in classes.enumerated() { counts[name] = answers.filter { has($0, number) }.count }
    return counts
  }

  private func has(_ answer: Int, _ number: Int) -> Bool {
    hasLabels ? answer >> number & 1 == 1 : answer == number
  }

  /// 1 for each label that an answer has, else 0.
  private func row(_ answer: Int) -> [Float] {
    classes.indices.map { has(answer, $0) ? 1 : 0 }
  }

  /// Images with what they are to be answered with.
  func samples(_ images: Data, _ answers: [Int]) -> Samples {
    hasLabels ? Samples(bytes: images, targets: answers.map(row)) : Samples(bytes: images, labels: answers)
  }

  /// All images; nil where there are none.
  func images(batch: Int, seed: UInt64) throws(LocalgradError) -> ImageSet? {
    if answers.isEmpty { return nil }
    if hasLabels { return try ImageSet(images: pixels, targets: answers.map(row), batch: batch, seed: seed) }
    return try ImageSet(images: pixels, labels: answers, batch: batch, seed: seed)
  }
}

/// Does `work` on files, and says what the system said.
private func files<Result>(_ work: () throws -> Result) throws(LocalgradError) -> Result {
  do {
    return try work()
  } catch {
    throw .files("\(error.localizedDescription)")
  }
}
