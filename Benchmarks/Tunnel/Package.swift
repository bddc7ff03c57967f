// swift-tools-version: 6.2
import PackageDescription

// A package of its own, whose library sources are links to the real ones: a release build takes seconds.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

let package = Package(
    name: "tunnel-bench",
    targets: [
        .target(name: "CLinux"),
        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "IPNetwork", swiftSettings: strict),
        .target(name: "Tunnel", dependencies: ["CLinux", "LinuxSystem", "IPNetwork"], swiftSettings: strict),
        .executableTarget(
            name: "TunnelBench", dependencies: ["CLinux", "LinuxSystem", "IPNetwork", "Tunnel"], swiftSettings: strict),
    ]
)
