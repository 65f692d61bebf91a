// Trains with checkpoints until it is killed or done, and exports what came of it: the child of a test.
// usage: TrainChild DIRECTORY STEPS      a byte of standard input lets it go on after a step; its end, after all

import Foundation
import Localgrad

let directory = URL(fileURLWithPath: CommandLine.arguments[1])
let steps = Int(CommandLine.arguments[2]) ?? 0

var configuration = TrainerConfiguration(batch: 6, learningRate: 0.05)
(configuration.rule, configuration.head, configuration.ends) = (.man, "1c1f", [0, 1, 3])
(configuration.threads, configuration.seed) = (1, 7)
configuration.checkpoints = directory.appendingPathComponent("checkpoints")
configuration.checkpointSteps = 3

let network = try Network(
  named: "resnet8", input: ImageShape(channels: 1, height: 8, width: 8), classes: 3, widths: [4, 4, 6, 8])
let trainer = try Trainer(network, configuration)
try await trainer.setSource { number in
  let bytes = (0..<6 * 64).map { at in UInt8(truncatingIfNeeded: (number * 31 + at * at) % 251) }
  return Samples(bytes: Data(bytes), labels: (0..<6).map { (number + $0) % 3 })
}
let result = try await trainer.train(until: steps) { step in
  // So that the parent sees how far it came.
  FileHandle.standardOutput.write(Data("\(step.step)\n".utf8))
  _ = try? FileHandle.standardInput.read(upToCount: 1)
  return true
}
precondition(result.reason == .done)
try await trainer.export(to: directory.appendingPathComponent("weights.safetensors"))
