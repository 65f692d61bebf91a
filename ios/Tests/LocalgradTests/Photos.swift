// Photos of ten classes: CIFAR-10 where LOCALGRAD_CIFAR10 names the directory of its binary version, and else the part of
// Fashion-MNIST that the program carries.

#if os(Linux) || os(macOS)
  import Foundation

  struct Photos {
    struct Photo {
      let image: Data
      let label: Int
    }

    let name: String
    let names: [String]
    let channels: Int
    let side: Int
    /// Epochs that teach a small network the first five classes.
    let epochs: Int
    /// How far beyond chance, which is 0.2, a small network comes with 20 photos of each class.
    let learned: Double
    let training: [Photo]
    let test: [Photo]

    static func open() throws -> Photos {
      if let place = ProcessInfo.processInfo.environment["LOCALGRAD_CIFAR10"] {
        return try cifar(URL(fileURLWithPath: place))
      }
      var root = URL(fileURLWithPath: #filePath)
      for _ in 0..<4 { root.deleteLastPathComponent() }
      return try fashion(root.appendingPathComponent("cli/data"))
    }

    /// Records of a label and three planes; images of rows of pixels.
    private static func cifar(_ directory: URL) throws -> Photos {
      func records(_ name: String) throws -> [Photo] {
        let bytes = [UInt8](try Data(contentsOf: directory.appendingPathComponent(name)))
        var photos = [Photo]()
        for start in stride(from: 0, to: bytes.count, by: 3073) {
          var image = Data(count: 3072)
          for at in 0..<3072 {
            let (pixel, plane): (Int, Int) = (at / 3, at % 3)
            image[at] = bytes[start + 1 + plane * 1024 + pixel]
          }
          photos.append(Photo(image: image, label: Int(bytes[start])))
        }
        return photos
      }
      return Photos(
        name: "CIFAR-10",
        names: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"], channels: 3,
        side: 32, epochs: 3, learned: 0.1, training: try (1...5).flatMap { try records("data_batch_\($0).bin") },
        test: try records("test_batch.bin"))
    }

    /// IDX files, compressed.
    private static func fashion(_ directory: URL) throws -> Photos {
      func read(_ name: String) throws -> [UInt8] {
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", directory.appendingPathComponent(name).path]
        process.standardOutput = output
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return [UInt8](bytes)
      }
      func split(_ prefix: String) throws -> [Photo] {
        let images = try read("\(prefix)-images-idx3-ubyte.gz"), labels = try read("\(prefix)-labels-idx1-ubyte.gz")
        var photos = [Photo]()
        for (at, label) in labels.dropFirst(8).enumerated() {
          let start = 16 + at * 784
          photos.append(Photo(image: Data(images[start..<start + 784]), label: Int(label)))
        }
        return photos
      }
      return Photos(
        name: "Fashion-MNIST",
        names: [
          "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
        ], channels: 1, side: 28, epochs: 2, learned: 0.4, training: try split("train"), test: try split("t10k"))
    }
  }
#endif
