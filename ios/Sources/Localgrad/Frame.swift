// Camera frames and bitmaps.

import CLocalgrad
import Foundation

/// A frame of a camera or a bitmap, in memory that is lent for the time of a call.
public struct Frame {
  /// The channels of a pixel, a byte each.
  public enum Format: Int32, Sendable {
    /// Red, green, blue.
    case rgb = 0
    /// Red, green, blue, and one that is not looked at.
    case rgba = 1
    /// Blue, green, red, and one that is not looked at, as cameras give them.
    case bgra = 2
    /// Grey.
    case gray = 3
  }

  /// By how much a frame must be turned clockwise to stand upright.
  public enum Rotation: Int32, Sendable {
    /// Not at all.
    case none = 0
    /// A quarter turn to the right.
    case right = 90
    /// A half turn.
    case half = 180
    /// A quarter turn to the left.
    case left = 270
  }

  /// How a frame of other proportions fits a network.
  public enum Fit: Int32, Sendable {
    /// The largest part of the network's proportions in its middle is taken.
    case crop = 0
    /// All of it is taken, and distorted.
    case stretch = 1
  }

  /// The first row and all that follows.
  public var pixels: UnsafeRawBufferPointer
  /// Columns.
  public var width: Int
  /// Rows.
  public var height: Int
  /// From the beginning of a row to that of the next; 0, which is a row's pixels and no gap.
  public var rowBytes: Int
  /// The channels of a pixel.
  public var format: Format
  /// How it is turned to stand upright.
  public var rotation: Rotation
  /// How it fits other proportions.
  public var fit: Fit

  /// A frame in this memory.
  public init(
    _ pixels: UnsafeRawBufferPointer, width: Int, height: Int, rowBytes: Int = 0, format: Format = .bgra,
    rotation: Rotation = .none, fit: Fit = .crop
  ) {
    (self.pixels, self.width, self.height, self.rowBytes) = (pixels, width, height, rowBytes)
    (self.format, self.rotation, self.fit) = (format, rotation, fit)
  }
}

extension Network {
  /// What a frame looks like to this network: the bytes of one image of its size, pixel by pixel. The frame is read where
  /// it lies; only what the network sees of it is made.
  public func image(of frame: Frame) throws(LocalgradError) -> Data {
    var lent = lg_frame()
    lent.struct_size = MemoryLayout<lg_frame>.size
    (lent.pixels, lent.bytes) = (frame.pixels.baseAddress, frame.pixels.count)
    lent.width = try size(frame.width, "width")
    lent.height = try size(frame.height, "height")
    lent.row_bytes = try size(frame.rowBytes, "rowBytes")
    (lent.format, lent.rotation_degrees, lent.fit) = (
      frame.format.rawValue, frame.rotation.rawValue, frame.fit.rawValue
    )
    var image = [UInt8](repeating: 0, count: input.elements)
    try check("network") { lg_network_prepare_frame(handle.pointer, &lent, &image, image.count, $0) }
    return Data(image)
  }
}

extension Trainer {
  /// Adds a frame to the samples that the next step trains on. On any thread; `.busy` while a call is at work.
  public nonisolated func push(_ frame: Frame, label: Int) throws(LocalgradError) {
    try push(Samples(bytes: try network.image(of: frame), labels: [label]))
  }

  /// The same with what the frame is to be answered with, a number for each output of the network.
  public nonisolated func push(_ frame: Frame, targets: [Float]) throws(LocalgradError) {
    try push(Samples(bytes: try network.image(of: frame), targets: [targets]))
  }

  /// The features of a frame, which is read before anything waits, of the class `label`.
  public func features(
    of frame: Frame, label: Int, isolation: isolated (any Actor)? = #isolation
  ) async throws(LocalgradError) -> Samples {
    try await features(Samples(bytes: try network.image(of: frame), labels: [label]))
  }

  /// The same of one that is to be answered with a number for each output of the network.
  public func features(
    of frame: Frame, targets: [Float], isolation: isolated (any Actor)? = #isolation
  ) async throws(LocalgradError) -> Samples {
    try await features(Samples(bytes: try network.image(of: frame), targets: [targets]))
  }
}
