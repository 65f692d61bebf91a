// The images and class names of a personalizer, in files.

import Foundation

/// A directory with `classes.json`, `images.bin` and `checkpoints`.
///
/// `images.bin` only grows: of each image its label in four bytes, least first, and its pixels. What a kill left of a last
/// image is cut off.
final class Album {
  private let directory: URL
  private let classes: [String]
  private let imageBytes: Int
  private var pixels = Data()
  private var labels: [Int] = []

  private struct Kept: Codable {
    var classes: [String]
    var imageBytes: Int
  }

  init(_ directory: URL, _ classes: [String], imageBytes: Int) throws(LocalgradError) {
    (self.directory, self.classes, self.imageBytes) = (directory, classes, imageBytes)
    guard classes.count >= 2, Set(classes).count == classes.count, !classes.contains("") else {
      throw .configuration("\(classes) are no classes to tell apart; give two or more, each with a name of its own")
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
      let label = (0..<4).reduce(0) { $0 | Int(bytes[first + $1]) << (8 * $1) }
      guard label < classes.count else {
        throw .format("\(file.path) is damaged at byte \(first); Personalizer.forget(in:) lets it begin anew")
      }
      labels.append(label)
      pixels.append(bytes[first + 4..<first + record])
    }
    if bytes.count % record != 0 {
      try files {
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        try handle.truncate(atOffset: UInt64(labels.count * record))
      }
    }
  }

  /// Says that the directory is a beginning with these classes.
  func keepClasses() throws(LocalgradError) {
    let kept = Kept(classes: classes, imageBytes: imageBytes)
    try files {
      try JSONEncoder().encode(kept).write(to: directory.appendingPathComponent("classes.json"), options: .atomic)
    }
  }

  func add(_ image: Data, _ label: Int) throws(LocalgradError) {
    guard image.count == imageBytes else {
      throw .shape("an image of \(image.count) bytes was given, and the network takes \(imageBytes)")
    }
    let file = directory.appendingPathComponent("images.bin")
    var record = Data((0..<4).map { UInt8(truncatingIfNeeded: label >> (8 * $0)) })
    record.append(image)
    try files {
      if !FileManager.default.fileExists(atPath: file.path) { try Data().write(to: file) }
      let handle = try FileHandle(forWritingTo: file)
      defer { try? handle.close() }
      try handle.seekToEnd()
      try handle.write(contentsOf: record)
    }
    labels.append(label)
    pixels.append(image)
  }

  var counts: [String: Int] {
    var counts = Dictionary(uniqueKeysWithValues: classes.map { ($0, 0) })
    for label in labels { counts[classes[label], default: 0] += 1 }
    return counts
  }

  /// All images; nil where there are none.
  func images(batch: Int, seed: UInt64) throws(LocalgradError) -> ImageSet? {
    labels.isEmpty ? nil : try ImageSet(images: pixels, labels: labels, batch: batch, seed: seed)
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
