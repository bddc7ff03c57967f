// swift-tools-version: 6.2
import PackageDescription

// As Fuzz/Netlink. The packet paths are internal, so the tunnel is built as for tests.
let fuzzed: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library", "-enable-testing"]),
]

// What the inputs are to reach is the tunnel: the reference beside it has no counters of branches, which would cost most of
// the time.
let judging: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .unsafeFlags(["-sanitize=address", "-parse-as-library", "-enable-testing"]),
]

let package = Package(
    name: "tunnel-fuzz",
    targets: [
        .target(name: "CLinux"),
        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: fuzzed),
        .target(name: "IPNetwork", swiftSettings: fuzzed),
        .target(name: "Tunnel", dependencies: ["CLinux", "LinuxSystem", "IPNetwork"], swiftSettings: fuzzed),
        .executableTarget(
            name: "TunnelFuzz", dependencies: ["CLinux", "IPNetwork", "Tunnel"], swiftSettings: judging,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]),
    ]
)
