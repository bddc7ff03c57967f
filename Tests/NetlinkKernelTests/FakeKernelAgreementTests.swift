import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import NetlinkTesting
import Testing

/// The fake kernel does to IPv6 what Linux does: the same requests, the same refusals, the same tables afterwards.
@Suite(.enabled(if: getuid() == 0, "needs root")) struct FakeKernelAgreementTests {
    private static let names = ["left", "right"].compactMap { InterfaceName($0) }
    private static let macs = [0x0200_0000_0001, 0x0200_0000_0002].map { MACAddress(rawValue: $0) }

    /// Indices differ; so requests are made from names.
    private struct Step: Sendable {
        let text: String
        let make: @Sendable ([Int32]) -> RouteRequest
    }

    private static func hop(_ gateway: String?, _ interface: Int32, onlink: Bool = false) -> RoutePath {
        .single(NextHop(gateway: gateway.flatMap { IPAddress($0) }, interface: interface, onlink: onlink))
    }

    private static func route(
        _ destination: String, _ path: RoutePath, type: RouteType = .unicast, source: String? = nil
    ) -> Route {
        Route(
            destination: IPPrefix(destination) ?? .all(.v6), type: type,
            preferredSource: source.flatMap { IPAddress($0) }, path: path)
    }

    private static func address(_ text: String, _ length: Int, _ interface: Int32) -> Address {
        Address(
            interface: interface, address: IPAddress(text) ?? .v6(IPv6Address(rawValue: 1)), prefixLength: length,
            flags: .noDuplicateDetection)
    }

    private static let steps: [Step] = [
        Step(text: "address") { .addAddress(address("fd00:1::1", 64, $0[0])) },
        Step(text: "address again") { .addAddress(address("fd00:1::1", 64, $0[0])) },
        Step(text: "single address") { .addAddress(address("fd00:2::1", 128, $0[0])) },
        Step(text: "route") { .addRoute(route("fd10::/64", hop("fd00:1::2", $0[0]))) },
        Step(text: "route again") { .addRoute(route("fd10::/64", hop("fd00:1::3", $0[0]))) },
        Step(text: "joined") { .appendRoute(route("fd10::/64", hop("fd00:1::3", $0[0]))) },
        Step(text: "joined again") { .appendRoute(route("fd10::/64", hop("fd00:1::3", $0[0]))) },
        Step(text: "beside") { .appendRoute(route("fd10::/64", hop(nil, $0[1]))) },
        Step(text: "replaced with all its next hops") { .replaceRoute(route("fd10::/64", hop("fd00:1::4", $0[0]))) },
        Step(text: "beside removed") { .deleteRoute(route("fd10::/64", hop(nil, $0[1]))) },
        Step(text: "joined for removal") { .appendRoute(route("fd10::/64", hop("fd00:1::5", $0[0]))) },
        Step(text: "one next hop removed") { .deleteRoute(route("fd10::/64", hop("fd00:1::4", $0[0]))) },
        Step(text: "joined once more") { .appendRoute(route("fd10::/64", hop("fd00:1::6", $0[0]))) },
        Step(text: "all removed by the interface") { .deleteRoute(route("fd10::/64", hop(nil, $0[0]))) },
        Step(text: "the last") { .deleteRoute(route("fd10::/64", hop(nil, $0[0]))) },
        Step(text: "without a gateway") { .addRoute(route("fd16::/64", hop(nil, $0[1]))) },
        Step(text: "replaced by another kind") { .replaceRoute(route("fd16::/64", hop("fd00:1::7", $0[0]))) },
        Step(text: "replaced by a blackhole") { _ in .replaceRoute(route("fd11::/64", .none, type: .blackhole)) },
        Step(text: "blackhole replaced") { .replaceRoute(route("fd11::/64", hop("fd11::", $0[1], onlink: true))) },
        Step(text: "onlink where another way leads") {
            .addRoute(route("fd12::/64", hop("fd00:1::9", $0[1], onlink: true)))
        },
        Step(text: "by a local address") { .addRoute(route("fd12::/64", hop("fd00:1::1", $0[0], onlink: true))) },
        Step(text: "by nobody") { .addRoute(route("fd12::/64", hop("fd99::1", $0[0]))) },
        Step(text: "with a source") { .addRoute(route("fd13::/64", hop("fd00:1::2", $0[0]), source: "fd00:1::1")) },
        Step(text: "with a foreign source") {
            .addRoute(route("fd14::/64", hop("fd00:1::2", $0[0]), source: "fd00:1::99"))
        },
        Step(text: "neighbour") {
            .replaceNeighbour(Neighbour(interface: $0[0], address: IPAddress("fd00:1::2")!, linkLayer: macs[1]))
        },
        Step(text: "address removed") { .deleteAddress(address("fd00:1::1", 64, $0[0])) },
        Step(text: "small MTU") { .changeLink(LinkChange(index: $0[0], mtu: 1279)) },
        Step(text: "no IPv6: address") { .addAddress(address("fd00:3::1", 64, $0[0])) },
        Step(text: "no IPv6: route") { .addRoute(route("fd15::/64", hop("fd15::", $0[0], onlink: true))) },
        Step(text: "no IPv6: neighbour") {
            .replaceNeighbour(Neighbour(interface: $0[0], address: IPAddress("fd00:1::2")!, linkLayer: macs[1]))
        },
        Step(text: "usual MTU") { .changeLink(LinkChange(index: $0[0], mtu: 1500)) },
        Step(text: "address anew") { .addAddress(address("fd00:1::1", 64, $0[0])) },
        Step(text: "route anew") { .addRoute(route("fd10::/64", hop("fd00:1::2", $0[0]))) },
        Step(text: "down") { .changeLink(LinkChange(index: $0[0], isUp: false)) },
        Step(text: "route while down") { .addRoute(route("fd10::/64", hop("fd00:1::2", $0[0]))) },
        Step(text: "address while down") { .addAddress(address("fd00:4::1", 64, $0[0])) },
        Step(text: "up") { .changeLink(LinkChange(index: $0[0], isUp: true)) },
        Step(text: "gone") { .deleteLink(index: $0[0]) },
    ]

    private static func indices(_ kernel: any RouteNetlink) throws -> [Int32] {
        let links = try kernel.links()
        return names.compactMap { name in links.first { $0.name == name }?.index }
    }

    private static func setUp(_ kernel: any RouteNetlink) throws -> [Int32] {
        let pair = NewLink(
            name: names[0], kind: .veth(peer: VethPeer(name: names[1], hardwareAddress: macs[1])),
            hardwareAddress: macs[0])
        #expect(try kernel.execute([.createLink(pair)]).isEmpty)
        let indices = try indices(kernel)
        for index in indices {
            #expect(try kernel.execute([.changeLink(LinkChange(index: index, isUp: true))]).isEmpty)
        }
        return indices
    }

    /// IPv6 tables as text, without multicast and the loopback interface's own.
    private static func tables(_ kernel: any RouteNetlink) throws -> [String] {
        let links = Dictionary(uniqueKeysWithValues: try kernel.links().map { ($0.index, $0.name.text) })
        func name(_ index: Int32?) -> String { index.flatMap { links[$0] } ?? "none" }
        func text(_ hop: NextHop) -> String { "via \(hop.gateway.map { "\($0)" } ?? "-") dev \(name(hop.interface))" }
        var lines: [String] = []
        for route in try kernel.routes(RouteFilter(family: .v6)) {
            guard !(IPPrefix("ff00::/8")?.contains(route.destination.address) ?? false) else { continue }
            let hops: [String]
            switch route.path {
            case .none, .nexthopObject: hops = []
            case .single(let hop): hops = [text(hop)]
            case .multipath(let all): hops = all.map(text).sorted()
            }
            guard route.destination != IPPrefix("::1/128") else { continue }
            lines.append(
                "\(route.destination) table \(route.table) \(route.type) metric \(route.metric ?? 0) proto "
                    + "\(route.proto) src \(route.preferredSource.map { "\($0)" } ?? "-") \(hops)")
        }
        for address in try kernel.addresses(interface: nil) where address.address.isIPv6 {
            guard name(address.interface) != "lo" else { continue }
            lines.append("address \(address.address)/\(address.prefixLength) dev \(name(address.interface))")
        }
        for neighbour in try kernel.neighbours(interface: nil) where neighbour.state.contains(.permanent) {
            lines.append("neighbour \(neighbour.address) dev \(name(neighbour.interface))")
        }
        return lines.sorted()
    }

    @Test func sameRequestsSameState() async throws {
        let namespace = try TestNamespace()
        // Duplicate address detection would take seconds here; the fake is told when it ends.
        try run("ip", "netns", "exec", namespace.name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        let fake = FakeKernel()
        let linux = namespace.socket
        _ = try (Self.setUp(linux), Self.setUp(fake))
        for step in [nil] + Self.steps.map(Optional.some) {
            if let step {
                let codes = try [linux as any RouteNetlink, fake].map { kernel in
                    let current = try Self.indices(kernel)
                    return try kernel.execute([step.make(current)]).map(\.code)
                }
                #expect(codes[0] == codes[1], "\(step.text): Linux, then the fake")
            }
            fake.finishDuplicateDetection()
            let expected = try Self.tables(fake)
            // A link-local address comes when the carrier is there.
            for _ in 0..<500 where try Self.tables(linux) != expected {
                try await Task.sleep(for: .milliseconds(10))
            }
            let actual = try Self.tables(linux)
            #expect(
                actual == expected,
                "\(step?.text ?? "start"): Linux has \(Set(actual).subtracting(expected)), the fake \(Set(expected).subtracting(actual))"
            )
        }
    }
}
