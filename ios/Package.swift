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

let package = Package(
  name: "localgrad",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [.library(name: "Localgrad", targets: ["Localgrad"])],
  targets: [
    core(),
    .target(
      name: "Localgrad",
      dependencies: ["CLocalgrad"],
      linkerSettings: [
        .linkedLibrary("m", .when(platforms: [.linux])),
        .linkedLibrary("dl", .when(platforms: [.linux])),
        .linkedLibrary("pthread", .when(platforms: [.linux])),
      ]),
    .testTarget(name: "LocalgradTests", dependencies: ["Localgrad", "CLocalgrad"]),
  ],
  swiftLanguageModes: [.v6])
