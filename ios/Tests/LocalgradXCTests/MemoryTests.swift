// Ten thousand steps and a thousand trainers leave nothing behind.

import Foundation
import Localgrad
import XCTest

final class MemoryTests: XCTestCase {
  /// Bytes of the process in memory.
  private func resident() throws -> Int {
    #if os(Linux)
      let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[1]
      return (Int(pages) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    #else
      var info = mach_task_basic_info()
      var count = mach_msg_type_number_t(MemoryLayout<mach_task_basic_info>.size / MemoryLayout<natural_t>.size)
      let status = withUnsafeMutablePointer(to: &info) { place in
        place.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
          task_info(mach_task_self_, task_flavor_t(MACH_TASK_BASIC_INFO), $0, &count)
        }
      }
      return status == KERN_SUCCESS ? Int(info.resident_size) : 0
    #endif
  }

  private func tiny() throws -> Trainer {
    let network = try Network(
      named: "resnet8", input: ImageShape(channels: 1, height: 8, width: 8), classes: 2, widths: [1, 1, 1, 1])
    var configuration = TrainerConfiguration(batch: 2)
    (configuration.rule, configuration.threads) = (.bp, 1)
    return try Trainer(network, configuration)
  }

  func testTenThousandStepsDoNotGrow() async throws {
    let trainer = try tiny()
    let images = Data((0..<128).map { UInt8($0) })
    try await trainer.setSource { _ in Samples(bytes: images, labels: [0, 1]) }
    let events = Task { [events = trainer.events] in
      var steps = 0
      for try await event in events { if case .step = event { steps += 1 } }
      return steps
    }
    try await trainer.train(until: 2_000)
    let (before, live) = (try resident(), Library.memory.live)
    try await trainer.train(until: 10_000)
    let (after, liveAfter) = (try resident(), Library.memory.live)
    trainer.close()
    let told = try await events.value
    print("10,000 steps: resident memory grew by \(after - before) bytes in the last 8,000, \(told) were told")
    XCTAssertLessThan(after - before, 4 << 20)
    XCTAssertLessThan(liveAfter.count - live.count, 64 << 10)
    XCTAssertGreaterThan(told, 0)
  }

  func testAThousandTrainersDoNotGrow() async throws {
    let images = Data((0..<128).map { UInt8($0) })
    func live(_ count: Int, closes: Bool) async throws {
      for number in 0..<count {
        let trainer = try tiny()
        // Every fifth computes, and so has a thread.
        if number % 5 == 0 {
          try trainer.push(Samples(bytes: images, labels: [0, 1]))
          try await trainer.step()
        }
        if closes { trainer.close() }
      }
    }
    try await live(200, closes: true)
    let (before, inUse) = (try resident(), Library.memory.live)
    try await live(400, closes: true)
    try await live(400, closes: false)
    let (after, inUseAfter) = (try resident(), Library.memory.live)
    print("1,000 trainers: resident memory grew by \(after - before) bytes in the last 800")
    XCTAssertLessThan(after - before, 8 << 20)
    XCTAssertLessThan(inUseAfter.count - inUse.count, 64 << 10)
  }
}
