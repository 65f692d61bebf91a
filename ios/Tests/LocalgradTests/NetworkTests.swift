// Networks and the library around them.

import Foundation
import Localgrad
import Testing

@Suite struct NetworkTests {
  @Test func networksSayWhatTheyAre() async throws {
    let network = try Small.network()
    #expect(network.input == ImageShape(channels: 1, height: 8, width: 8))
    #expect(network.classes == 3 && network.units == 4 && network.parameters > 100)
    let again = try Network(json: network.json())
    #expect(try again.json() == network.json())
    let named = try network.replacingHead(classes: ["apple", "pear"])
    #expect(named.classes == 2 && named.classNames == ["apple", "pear"])
    let trainer = try Trainer(named, TrainerConfiguration(batch: 2))
    let best = try await trainer.predict(image: Data(Small.image(0))).first
    #expect(best.map { ["apple", "pear"].contains($0.name) } == true)
    let unknown = await failure { _ = try Network(named: "resnet7") }
    #expect(unknown?.message.contains("resnet7") == true)
    let negative = await failure { _ = try Network(named: "resnet8", classes: -1) }
    #expect(negative?.message.contains("classes is -1") == true)
    let text = await failure { _ = try Network(json: "{}") }
    guard case .format = text else {
      Issue.record("no format: \(String(describing: text))")
      return
    }
  }

  @Test func theLibrarySaysWhatItIs() throws {
    #expect(!Library.version.isEmpty && Library.buildOptions.contains("cpu"))
    #expect(Library.models.contains("resnet20"))
    #expect(Library.devices.contains { $0.name == "cpu" && $0.isAvailable })
    #expect(Bytes.mebibytes(64).description == "64.0 MiB" && Bytes(17).description == "17 bytes")
  }

  @Test func framesAreReadWhereTheyLie() async throws {
    let network = try Network(named: "resnet8", input: ImageShape(channels: 3, height: 8, width: 8), classes: 3)
    let rgb = (0..<192).map { UInt8(Small.hash(UInt64($0)) % 256) }
    var bgra = [UInt8](repeating: 77, count: 8 * 40)
    for at in 0..<64 {
      let place = at / 8 * 40 + at % 8 * 4
      (bgra[place], bgra[place + 1], bgra[place + 2]) = (rgb[at * 3 + 2], rgb[at * 3 + 1], rgb[at * 3])
    }
    let tight = try rgb.withUnsafeBytes { try network.image(of: Frame($0, width: 8, height: 8, format: .rgb)) }
    #expect(tight == Data(rgb))
    let gaps = try bgra.withUnsafeBytes { try network.image(of: Frame($0, width: 8, height: 8, rowBytes: 40)) }
    #expect(gaps == Data(rgb))
    let turned = try rgb.withUnsafeBytes {
      try network.image(of: Frame($0, width: 8, height: 8, format: .rgb, rotation: .half))
    }
    #expect(Array(turned.suffix(3)) == Array(rgb.prefix(3)))
    let trainer = try Trainer(network, TrainerConfiguration(batch: 4))
    try bgra.withUnsafeBytes { try trainer.push(Frame($0, width: 8, height: 8, rowBytes: 40), label: 2) }
    #expect(try await trainer.status().pending == 1)
    let short = await failure {
      try rgb.withUnsafeBytes { try trainer.push(Frame($0, width: 8, height: 9, format: .rgb), label: 0) }
    }
    #expect(short?.message.contains("too few") == true)
  }

  @Test func configurationsThatCannotWorkAreRefused() async throws {
    let network = try Small.network()
    let changes: [(String, @Sendable (inout TrainerConfiguration) -> Void)] = [
      ("batch is -1", { $0.batch = -1 }), ("memory budget", { $0.memoryBudget = 0 }),
      ("last 9 of 4 units", { $0.train = .lastUnits(9) }),
      ("1 means", { $0.normalize = .channels(mean: [1], deviation: []) }),
      ("leave them 0", { ($0.train, $0.blocks) = (.lastUnits(1), 2) }), ("ends holds -1", { $0.ends = [-1] }),
      ("threads", { $0.threads = 1 << 20 }),
    ]
    for (words, change) in changes {
      var configuration = TrainerConfiguration()
      change(&configuration)
      let error = await failure { [configuration] in _ = try Trainer(network, configuration) }
      #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    }
    let trainer = try Trainer(network, TrainerConfiguration(train: .lastUnits(2), batch: 4))
    #expect(try await trainer.status().blocks == 2)
    #expect(try await Trainer(network, TrainerConfiguration(train: .lastUnits(4), batch: 4)).status().blocks == 1)
    #expect(try await Trainer(network, TrainerConfiguration(train: .head, batch: 4)).status().blocks == 1)
    let cut = {
      var configuration = TrainerConfiguration(train: .head, batch: 4)
      configuration.blocks = 2
      return configuration
    }()
    #expect(try await Trainer(network, cut).status().blocks == 2)
    for selection in [TrainerConfiguration.Train.norms, .biases] {
      #expect(try await Trainer(network, TrainerConfiguration(train: selection, batch: 4)).status().blocks == 4)
    }
  }
}
