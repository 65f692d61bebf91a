// Pixel buffers of cameras; where there is no CoreVideo, of a stand-in for it.

#if canImport(CoreVideo)
  import CoreVideo
  import Foundation
  import Localgrad
  import Testing

  @Suite struct PixelBufferTests {
    private func buffer(_ format: OSType, _ order: [Int], pixelBytes: Int = 4) throws -> CVPixelBuffer {
      var made: CVPixelBuffer?
      #expect(CVPixelBufferCreate(nil, 8, 8, format, nil, &made) == kCVReturnSuccess)
      let buffer = try #require(made)
      #expect(CVPixelBufferLockBaseAddress(buffer, []) == kCVReturnSuccess)
      defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
      let (rows, base) = (CVPixelBufferGetBytesPerRow(buffer), CVPixelBufferGetBaseAddress(buffer)!)
      for at in 0..<64 {
        for (channel, place) in order.enumerated() {
          let byte = UInt8(truncatingIfNeeded: Small.hash(UInt64(at * 3 + channel)))
          base.storeBytes(of: byte, toByteOffset: at / 8 * rows + at % 8 * pixelBytes + place, as: UInt8.self)
        }
      }
      return buffer
    }

    @Test func everyFormatIsReadWhereItLies() async throws {
      let network = try Network(named: "resnet8", input: ImageShape(channels: 3, height: 8, width: 8), classes: 3)
      let expected = Data((0..<192).map { UInt8(truncatingIfNeeded: Small.hash(UInt64($0))) })
      let bgra = try buffer(kCVPixelFormatType_32BGRA, [2, 1, 0])
      #expect(try network.image(of: bgra) == expected)
      #expect(try network.image(of: buffer(kCVPixelFormatType_24RGB, [0, 1, 2], pixelBytes: 3)) == expected)
      let trainer = try Trainer(network, TrainerConfiguration(batch: 4))
      try trainer.push(bgra, label: 1)
      #expect(try await trainer.status().pending == 1)
      #expect(try await trainer.predict(bgra) == trainer.predict(image: expected))
      let other = await failure {
        _ = try network.image(of: buffer(kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, [2, 1, 0]))
      }
      #expect(other?.message.contains("32BGRA") == true)
    }
  }
#endif
