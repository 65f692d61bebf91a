// swift-tools-version: 6.0
// The Swift package of localgrad. On Apple's systems it takes the libraries that scripts/build-xcframework.sh made, where
// they are there; elsewhere the linker is told where liblocalgrad.a is: swift build -Xlinker -L/its/directory.

import Foundation
import PackageDescription

let binary = "build/CLocalgrad.xcframework"

func core() -> Target {
  #if os(macOS)
    if FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(binary)") {
      return .binaryTarget(name: "CLocalgrad", path: binary)
    }
  #endif
  return .systemLibrary(name: "CLocalgrad", path: "Sources/CLocalgrad")
}

/// Whether this is the package as it is written, not as it is handed out.
let hasTests = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests")

/// Whether a stand-in takes the place of Apple's CoreVideo, so that what uses it is tested everywhere.
let standsIn = Context.environment["LOCALGRAD_STAND_INS"] != nil
let video: [Target.Dependency] = standsIn ? ["CoreVideo"] : []
let standIns: [Target] = standsIn ? [.target(name: "CoreVideo", path: "Tests/StandIn/CoreVideo")] : []

let tests: [Target] = standIns + [
  // A process that a test kills.
  .executableTarget(name: "TrainChild", dependencies: ["Localgrad"], path: "Tests/TrainChild"),
  .testTarget(name: "LocalgradTests", dependencies: ["Localgrad", "CLocalgrad", "TrainChild"] + video),
  .executableTarget(
    name: "BridgeSpeed", dependencies: ["Localgrad", "CLocalgrad"], path: "Benchmarks/BridgeSpeed"),
  // What people read in README.md and in the sample, as far as it needs nothing of Apple's.
  .target(name: "Examples", dependencies: ["Localgrad"] + video, path: "Tests/Examples"),
  .target(name: "SampleSlice", dependencies: ["Localgrad"], path: "Sample/Slice"),
  .testTarget(name: "LocalgradXCTests", dependencies: ["Localgrad"]),
]

let package = Package(
  name: "localgrad",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [.library(name: "Localgrad", targets: ["Localgrad"])],
  targets: [
    core(),
    .target(
      name: "Localgrad",
      dependencies: ["CLocalgrad"] + video,
      linkerSettings: [
        .linkedLibrary("m", .when(platforms: [.linux])),
        .linkedLibrary("dl", .when(platforms: [.linux])),
        .linkedLibrary("pthread", .when(platforms: [.linux])),
        .linkedFramework("Metal", .when(platforms: [.iOS, .macOS])),
      ]),
  ] + (hasTests ? tests : []),
  swiftLanguageModes: [.v6])
