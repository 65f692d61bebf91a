// What a step costs through Swift and through the C functions alone, turn by turn, at batch 32 of ResNet-20.
// usage: BridgeSpeed [ROUNDS] [STEPS]      build it with `-c release`

import CLocalgrad
import Foundation
import Localgrad
#if canImport(Glibc)
  import Glibc
#endif

let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
let (rounds, steps) = (numbers.first ?? 8, numbers.dropFirst().first ?? 6)
let batch = 32
let images = Data((0..<batch * 3072).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 / 7) })
let labels = (0..<batch).map { $0 % 10 }

/// Seconds that the processors have worked for this process, whatever else the machine does.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Seconds at work of each step, the samples pushed for it included.
func measure(_ step: () async throws -> Void) async throws -> [Double] {
  var seconds = [Double]()
  for _ in 0..<steps {
    let began = processorSeconds()
    try await step()
    seconds.append(processorSeconds() - began)
  }
  return seconds
}

let network = try Network(named: "resnet20")
var configuration = TrainerConfiguration(batch: batch)
configuration.threads = 1
let trainer = try Trainer(network, configuration)

var (cNetwork, cTrainer): (OpaquePointer?, OpaquePointer?) = (nil, nil)
var config = lg_trainer_config()
precondition(lg_network_create("resnet20", nil, &cNetwork, nil) == 0)
precondition(lg_trainer_config_init(&config, MemoryLayout<lg_trainer_config>.size) == 0)
(config.batch, config.threads) = (batch, 1)
precondition(lg_trainer_create(cNetwork, &config, &cTrainer, nil) == 0)
let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: images.count)
let classes = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: batch)
_ = bytes.initialize(from: images)
_ = classes.initialize(from: labels.map { UInt32($0) })
var samples = lg_samples()
precondition(lg_samples_init(&samples, MemoryLayout<lg_samples>.size) == 0)
(samples.images, samples.images_bytes) = (UnsafeRawPointer(bytes.baseAddress), bytes.count)
(samples.count, samples.labels) = (batch, UnsafePointer(classes.baseAddress))

var (swift, c) = ([Double](), [Double]())
for round in 0..<rounds {
  swift += try await measure {
    try trainer.push(Samples(bytes: images, labels: labels))
    try await trainer.step()
  }
  c += try await measure {
    precondition(lg_trainer_push(cTrainer, &samples, nil) == 0)
    precondition(lg_trainer_step(cTrainer, nil, nil) == 0)
  }
  print("round \(round): least so far, Swift \(swift.min()!) s, C \(c.min()!) s")
}

/// The bridge alone: what a call that does next to nothing costs through the actor, its thread and back.
let calls = 2000
let began = DispatchTime.now().uptimeNanoseconds
for _ in 0..<calls { _ = try await trainer.status() }
let call = Double(DispatchTime.now().uptimeNanoseconds - began) / 1e9 / Double(calls)
print(
  String(
    format: "%d images a step: Swift %.6f s, C %.6f s: %+.2f %%; an empty call %.1f us, %.3f %% of a step",
    batch, swift.min()!, c.min()!, (swift.min()! / c.min()! - 1) * 100, call * 1e6, call / c.min()! * 100))
