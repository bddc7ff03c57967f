// swift-tools-version: 6.2
import PackageDescription

// A package of its own: the fuzzer's coverage counters go into every target, and -parse-as-library into the entry
// point that libFuzzer calls. The library's sources are links to the real ones.
let fuzzed: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library"]),
]

let package = Package(
    name: "netlink-fuzz",
    targets: [
        .target(name: "CLinux"),
        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: fuzzed),
        .target(name: "IPNetwork", swiftSettings: fuzzed),
        .target(name: "Netlink", dependencies: ["CLinux", "LinuxSystem", "IPNetwork"], swiftSettings: fuzzed),
        .executableTarget(
            name: "NetlinkFuzz", dependencies: ["Netlink"], swiftSettings: fuzzed,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]),
    ]
)
