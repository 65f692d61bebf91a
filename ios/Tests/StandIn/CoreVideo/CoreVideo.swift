// As much of Apple's CoreVideo as the package uses, for tests where there is none: what is compiled and tested against it
// is the code that phones run.

public typealias OSType = UInt32
public typealias CVReturn = Int32

public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelFormatType_32RGBA: OSType = 0x5247_4241
public let kCVPixelFormatType_24RGB: OSType = 0x18
public let kCVPixelFormatType_OneComponent8: OSType = 0x4c30_3038
public let kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: OSType = 0x3432_3066

/// Rows with a gap behind each, as cameras give them.
public final class CVPixelBuffer {
  let (width, height, rowBytes): (Int, Int, Int)
  let format: OSType
  let memory: UnsafeMutableRawBufferPointer
  var locks = 0

  init(_ width: Int, _ height: Int, _ format: OSType) {
    let pixelBytes = format == kCVPixelFormatType_24RGB ? 3 : format == kCVPixelFormatType_OneComponent8 ? 1 : 4
    (self.width, self.height, self.format) = (width, height, format)
    rowBytes = (width * pixelBytes + 64) / 64 * 64
    memory = .allocate(byteCount: rowBytes * height, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0xee)
  }

  deinit {
    precondition(locks == 0, "a pixel buffer was left locked")
    memory.deallocate()
  }
}

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
  public let rawValue: UInt64

  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}

public func CVPixelBufferCreate(
  _ allocator: AnyObject?, _ width: Int, _ height: Int, _ format: OSType, _ attributes: AnyObject?,
  _ buffer: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn {
  buffer.pointee = CVPixelBuffer(width, height, format)
  return kCVReturnSuccess
}

public func CVPixelBufferLockBaseAddress(_ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
  buffer.locks += 1
  return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferUnlockBaseAddress(_ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
  buffer.locks -= 1
  return kCVReturnSuccess
}

public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
  buffer.locks > 0 ? buffer.memory.baseAddress : nil
}

public func CVPixelBufferGetPixelFormatType(_ buffer: CVPixelBuffer) -> OSType { buffer.format }
public func CVPixelBufferGetWidth(_ buffer: CVPixelBuffer) -> Int { buffer.width }
public func CVPixelBufferGetHeight(_ buffer: CVPixelBuffer) -> Int { buffer.height }
public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { buffer.rowBytes }
