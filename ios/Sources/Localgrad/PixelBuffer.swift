// Frames of Apple's cameras.

#if canImport(CoreVideo)
  import CoreVideo
  import Foundation

  extension Network {
    /// What a pixel buffer looks like to this network. Its base address is locked meanwhile and read where it lies.
    ///
    /// - Throws: `.argument` for formats other than `kCVPixelFormatType_32BGRA` (which a camera is asked for in
    ///   `videoSettings`), `32RGBA`, `24RGB` and `OneComponent8`.
    public func image(
      of buffer: CVPixelBuffer, rotation: Frame.Rotation = .none, fit: Frame.Fit = .crop
    ) throws(LocalgradError) -> Data {
      let format: Frame.Format
      switch CVPixelBufferGetPixelFormatType(buffer) {
      case kCVPixelFormatType_32BGRA: format = .bgra
      case kCVPixelFormatType_32RGBA: format = .rgba
      case kCVPixelFormatType_24RGB: format = .rgb
      case kCVPixelFormatType_OneComponent8: format = .gray
      default:
        throw .argument("pixel buffers of this format are not read; ask the camera for kCVPixelFormatType_32BGRA")
      }
      guard CVPixelBufferLockBaseAddress(buffer, .readOnly) == kCVReturnSuccess else {
        throw .device("the pixel buffer cannot be locked")
      }
      defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
      let (rows, rowBytes) = (CVPixelBufferGetHeight(buffer), CVPixelBufferGetBytesPerRow(buffer))
      let pixels = UnsafeRawBufferPointer(start: CVPixelBufferGetBaseAddress(buffer), count: rows * rowBytes)
      return try image(
        of: Frame(
          pixels, width: CVPixelBufferGetWidth(buffer), height: rows, rowBytes: rowBytes, format: format,
          rotation: rotation, fit: fit))
    }
  }

  extension Trainer {
    /// Adds a pixel buffer to the samples that the next step trains on. On any thread; `.busy` while a call is at work.
    public nonisolated func push(
      _ buffer: CVPixelBuffer, label: Int, rotation: Frame.Rotation = .none
    ) throws(LocalgradError) {
      try push(Samples(bytes: try network.image(of: buffer, rotation: rotation), labels: [label]))
    }

    /// The same with what it is to be answered with, a number for each output of the network.
    public nonisolated func push(
      _ buffer: CVPixelBuffer, targets: [Float], rotation: Frame.Rotation = .none
    ) throws(LocalgradError) {
      try push(Samples(bytes: try network.image(of: buffer, rotation: rotation), targets: [targets]))
    }

    /// What the network takes a pixel buffer for, the likeliest class or label first.
    ///
    /// The buffer is read before anything waits, so that it can be given back to the camera at once.
    public func predict(
      _ buffer: CVPixelBuffer, rotation: Frame.Rotation = .none, isolation: isolated (any Actor)? = #isolation
    ) async throws(LocalgradError) -> [Prediction] {
      try await predict(image: try network.image(of: buffer, rotation: rotation))
    }
  }
#endif
