// swift-tools-version: 6.2
import PackageDescription

// Modules stand in the order of docs/architecture.md: a target depends only on targets above it.

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
]

let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let grpcCore = Target.Dependency.product(name: "GRPCCore", package: "grpc-swift-2")
let grpcProtobuf = Target.Dependency.product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let grpcTransport = Target.Dependency.product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let swiftProtobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

let package = Package(
    name: "weft",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Netlink", targets: ["Netlink"]),
        .library(name: "NetlinkTesting", targets: ["NetlinkTesting"]),
        .executable(name: "weftd", targets: ["weftd"]),
        .executable(name: "weft", targets: ["weft"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        .target(name: "CLinux"),
        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "IPNetwork", swiftSettings: strict),
        .target(
            name: "Netlink", dependencies: ["CLinux", "LinuxSystem", "IPNetwork"], swiftSettings: strict),
        .target(
            name: "NetlinkTesting", dependencies: ["LinuxSystem", "IPNetwork", "Netlink"], swiftSettings: strict),
        .target(name: "Leases", dependencies: ["IPNetwork"], swiftSettings: strict),
        .target(name: "KernelState", dependencies: ["IPNetwork", "LinuxSystem"], swiftSettings: strict),
        .target(
            name: "Backends", dependencies: ["IPNetwork", "LinuxSystem", "Leases", "KernelState"],
            swiftSettings: strict),
        .target(
            name: "Firewall", dependencies: ["IPNetwork", "LinuxSystem", logging, subprocess], swiftSettings: strict),
        .target(
            name: "Reconcile", dependencies: ["CLinux", "IPNetwork", "LinuxSystem", "Netlink", "KernelState", logging],
            swiftSettings: strict),
        // Generated code: its warnings are not ours.
        .target(
            name: "EtcdAPI", dependencies: [grpcCore, grpcProtobuf, swiftProtobuf],
            swiftSettings: [.swiftLanguageMode(.v6)]),
        .target(
            name: "EtcdRegistry",
            dependencies: [
                "LinuxSystem", "IPNetwork", "Leases", "EtcdAPI", asyncHTTPClient, grpcCore, grpcTransport, nioCore,
                nioHTTP1, nioPosix, nioSSL, logging,
            ],
            swiftSettings: strict),
        .target(name: "Tunnel", dependencies: ["CLinux", "LinuxSystem", "IPNetwork"], swiftSettings: strict),
        .target(name: "Migration", dependencies: ["IPNetwork", "Leases", "EtcdRegistry"], swiftSettings: strict),
        .target(
            name: "Containers", dependencies: ["CLinux", "LinuxSystem", "IPNetwork", "Netlink", subprocess],
            swiftSettings: strict),
        .target(name: "Operations", dependencies: ["Leases"], swiftSettings: strict),
        .target(
            name: "WeftDaemon",
            dependencies: [
                "CLinux", "LinuxSystem", "IPNetwork", "Netlink", "Leases", "KernelState", "Backends", "Firewall",
                "Reconcile",
                "EtcdRegistry", "Tunnel", "Operations", lifecycle, logging, nioCore, nioHTTP1, nioPosix,
            ],
            swiftSettings: strict),
        // Swift 6.3.1's optimiser crashes on the lab's task groups (splitting a coroutine); the lab has no need of it.
        .target(
            name: "Lab", dependencies: ["CLinux", "LinuxSystem", "IPNetwork", subprocess],
            swiftSettings: strict + [.unsafeFlags(["-Onone"], .when(configuration: .release))]),
        .executableTarget(
            name: "weftd", dependencies: ["LinuxSystem", "WeftDaemon", logging], swiftSettings: strict,
            // The static runtime's arguments export every symbol, which keeps all code in the binary alive. `make release`
            // puts the C++ library's archives in .build/static, so that the binary needs the C library alone.
            linkerSettings: [
                .unsafeFlags(
                    ["-use-ld=lld", "-Xlinker", "--no-export-dynamic", "-Xlinker", "--icf=safe", "-L.build/static"],
                    .when(platforms: [.linux], configuration: .release))
            ]),
        .executableTarget(
            name: "weft",
            dependencies: [
                "LinuxSystem", "Leases", "EtcdRegistry", "Migration", "Containers", "Operations", "Lab", argumentParser,
                asyncHTTPClient,
                logging, nioCore,
            ],
            swiftSettings: strict),

        .testTarget(name: "IPNetworkTests", dependencies: ["IPNetwork"], exclude: ["Fixtures"], swiftSettings: strict),
        .testTarget(
            name: "NetlinkTests", dependencies: ["CLinux", "LinuxSystem", "IPNetwork", "Netlink", "NetlinkTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "NetlinkKernelTests", dependencies: ["LinuxSystem", "IPNetwork", "Netlink", "NetlinkTesting"],
            swiftSettings: strict),
        .testTarget(name: "LeasesTests", dependencies: ["Leases", "IPNetwork"], swiftSettings: strict),
        .testTarget(
            name: "BackendsTests", dependencies: ["Backends", "IPNetwork", "KernelState", "Leases", "LinuxSystem"],
            swiftSettings: strict),
        .testTarget(
            name: "FirewallTests", dependencies: ["Firewall", "IPNetwork", "LinuxSystem", logging],
            swiftSettings: strict),
        .testTarget(
            name: "FirewallKernelTests", dependencies: ["Firewall", "IPNetwork", "LinuxSystem", logging],
            swiftSettings: strict),
        .testTarget(
            name: "ReconcileTests",
            dependencies: [
                "Reconcile", "IPNetwork", "KernelState", "LinuxSystem", "Netlink", "NetlinkTesting", logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "EtcdRegistryTests", dependencies: ["IPNetwork", "Leases", "EtcdRegistry", "Migration", logging],
            swiftSettings: strict),
        .testTarget(
            name: "TunnelTests", dependencies: ["CLinux", "LinuxSystem", "IPNetwork", "Tunnel"], swiftSettings: strict),
        .testTarget(
            name: "TunnelKernelTests", dependencies: ["CLinux", "LinuxSystem", "IPNetwork", "Tunnel"],
            swiftSettings: strict),
        .testTarget(
            name: "MigrationTests", dependencies: ["EtcdRegistry", "Leases", "Migration"], swiftSettings: strict),
        .testTarget(name: "OperationsTests", dependencies: ["Leases", "Operations"], swiftSettings: strict),
        .testTarget(
            name: "WeftDaemonTests",
            dependencies: [
                "Backends", "IPNetwork", "KernelState", "Leases", "LinuxSystem", "Netlink", "NetlinkTesting",
                "Operations",
                "Reconcile", "Tunnel", "WeftDaemon", logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "DaemonTests", dependencies: ["IPNetwork", "Lab", "LinuxSystem", "Netlink"], swiftSettings: strict),
        .testTarget(
            name: "ContainersTests", dependencies: ["Containers", "IPNetwork", "LinuxSystem"], swiftSettings: strict),
        .testTarget(
            name: "ContainersKernelTests",
            dependencies: ["Containers", "IPNetwork", "LinuxSystem", "Netlink"], swiftSettings: strict),
        .testTarget(name: "LabTests", dependencies: ["IPNetwork", "Lab"], swiftSettings: strict),
    ]
)
