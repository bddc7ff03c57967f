import Glibc
import IPNetwork
import Netlink
import Testing

@Suite(.needsRoot) struct RouteKernelTests {
    let host: TestNamespace
    let interface: Int32

    init() throws {
        host = try TestNamespace()
        interface = try host.makeVeth()
        try host.apply(
            .addAddress(Address(interface: interface, address: try ip("192.0.2.1"), prefixLength: 24)),
            .addAddress(
                Address(
                    interface: interface, address: try ip("2001:db8::1"), prefixLength: 64,
                    flags: .noDuplicateDetection)))
    }

    @Test func addresses() throws {
        let address = Address(
            interface: interface, address: try ip("10.0.19.0"), prefixLength: 32, broadcast: IPv4Address("10.0.19.0"),
            label: "eth0:1", scope: .link, flags: .noPrefixRoute, validLifetime: 3600, preferredLifetime: 1800)
        try host.apply(.addAddress(address))
        let found = try #require(
            try host.socket.addresses(interface: interface).first { $0.address == address.address })
        #expect(found.broadcast == address.broadcast && found.label == "eth0:1" && found.scope == .link)
        #expect(found.flags.contains(.noPrefixRoute) && !found.flags.contains(.permanent))
        #expect(
            (3590...3600).contains(found.validLifetime ?? 0) && (1790...1800).contains(found.preferredLifetime ?? 0))
        #expect(
            try host.socket.addresses().contains { $0.address == IPAddress("2001:db8::1") && $0.prefixLength == 64 })
        #expect(try host.socket.execute([.addAddress(address)]).first?.code == EEXIST)
        try host.apply(.replaceAddress(address), .deleteAddress(address))
        #expect(try !host.socket.addresses().contains { $0.address == address.address })
    }

    /// As `ip route get`: the most specific route counts, and policy rules are followed.
    @Test func lookups() throws {
        try host.ip("route add default via 192.0.2.254")
        try host.ip("route add 198.51.100.0/24 via 192.0.2.253 src 192.0.2.1")
        try host.ip("route add blackhole 198.51.100.128/25")
        try host.ip("route add unreachable 203.0.113.0/24")
        let found = { (address: String) in try host.socket.route(to: try ip(address)) }
        let near = try #require(try found("192.0.2.77"))
        #expect(near.path.nextHop?.interface == interface && near.path.nextHop?.gateway == nil)
        #expect(near.preferredSource == IPAddress("192.0.2.1"))
        #expect(try found("8.8.8.8")?.path.nextHop?.gateway == IPAddress("192.0.2.254"))
        #expect(try found("198.51.100.1")?.path.nextHop?.gateway == IPAddress("192.0.2.253"))
        #expect(try found("198.51.100.200") == nil)
        #expect(try found("203.0.113.9") == nil)
        #expect(try found("192.0.2.1")?.type == .local)
        let far = try #require(try found("2001:db8::77"))
        #expect(far.path.nextHop?.interface == interface && far.preferredSource == IPAddress("2001:db8::1"))
        #expect(try found("2001:db8:1::1") == nil, "there is no default route")
        #expect(try found("2001:db8::1")?.type == .local)
        try host.ip("route add 8.8.8.8 via 192.0.2.252 table 99")
        try host.ip("rule add to 8.8.8.8 lookup 99")
        #expect(try found("8.8.8.8")?.path.nextHop?.gateway == IPAddress("192.0.2.252"))
    }

    @Test func pointToPoint() throws {
        let address = Address(
            interface: interface, address: try ip("10.9.0.1"), prefixLength: 32, peer: try ip("10.9.0.2"))
        try host.apply(.addAddress(address))
        let found = try #require(try host.socket.addresses().first { $0.address == address.address })
        #expect(found.peer == address.peer)
    }

    /// Each comes back from the kernel as it was sent.
    @Test func roundTrips() throws {
        let port = NextHop(interface: interface)
        let far = NextHop(gateway: try ip("10.5.34.0"), interface: interface, onlink: true)
        var metrics = RouteMetrics()
        metrics.mtu = 1400
        metrics.advertisedSegmentSize = 1360
        metrics.congestionControl = "reno"
        let mine = RouteProtocol(rawValue: 84)
        let routes: [Route] = [
            Route(destination: try prefix("10.5.34.0/24"), proto: mine, path: .single(far)),
            Route(destination: try prefix("10.6.0.0/16"), path: .single(port)),
            Route(
                destination: try prefix("10.7.0.0/16"), table: 1000, proto: .static, tos: 0x10, metric: 5,
                preferredSource: try ip("192.0.2.1"),
                path: .single(NextHop(gateway: try ip("192.0.2.9"), interface: interface)), metrics: metrics),
            Route(destination: try prefix("10.8.0.0/16"), type: .blackhole, path: .none),
            Route(
                destination: try prefix("10.9.0.0/16"),
                path: .multipath([
                    NextHop(gateway: try ip("192.0.2.7"), interface: interface, weight: 3),
                    NextHop(gateway: try ip("10.5.35.0"), interface: interface, onlink: true),
                ])),
            Route(
                destination: try prefix("10.10.0.0/16"),
                path: .single(NextHop(gateway: try ip("2001:db8::9"), interface: interface))),
            Route(
                destination: try prefix("fd00:5::/64"), proto: mine, metric: 1024,
                path: .single(NextHop(gateway: try ip("fd00:5::"), interface: interface, onlink: true)), preference: 0),
            Route(
                destination: try prefix("fd00:6::/64"), metric: 7,
                path: .multipath([
                    NextHop(gateway: try ip("2001:db8::7"), interface: interface, weight: 2),
                    NextHop(gateway: try ip("2001:db8::8"), interface: interface),
                ]), preference: 0),
            Route(
                destination: .all(.v4), path: .single(NextHop(gateway: try ip("192.0.2.254"), interface: interface))),
        ]
        for route in routes {
            try host.apply(.addRoute(route))
            let found = try host.socket.routes().filter {
                $0.destination == route.destination && $0.table == route.table
            }
            #expect(found == [route])
            #expect(try host.socket.execute([.addRoute(route)]).first?.code == EEXIST)
            try host.apply(.replaceRoute(route))
            #expect(
                try host.socket.routes().filter { $0.destination == route.destination && $0.table == route.table } == [
                    route
                ])
        }
        for route in routes { try host.apply(.deleteRoute(route)) }
        let left = try host.socket.routes()
        #expect(!left.contains { route in routes.contains { $0.destination == route.destination } })
    }

    @Test func nexthopObjects() throws {
        let single = NexthopObject(
            id: 17, interface: interface, gateway: try ip("10.5.34.0"), onlink: true, proto: RouteProtocol(rawValue: 84)
        )
        let other = NexthopObject(id: 18, interface: interface, gateway: try ip("192.0.2.9"))
        let group = NexthopObject(id: 19, group: [.init(id: 17, weight: 4), .init(id: 18)])
        let drop = NexthopObject(id: 20, family: .v4, blackhole: true)
        let route = Route(destination: try prefix("10.5.34.0/24"), path: .nexthopObject(id: 17, resolved: nil))
        let shared = Route(destination: try prefix("10.5.35.0/24"), path: .nexthopObject(id: 19, resolved: nil))
        try host.apply(
            .changeLink(LinkChange(index: 1, isUp: true)),  // a blackhole is on the loopback interface
            .replaceNexthop(single), .replaceNexthop(other), .replaceNexthop(group), .replaceNexthop(drop),
            .addRoute(route), .addRoute(shared))
        let nexthops = try host.socket.nexthops().filter { (17...20).contains($0.id) }
        try #require(nexthops.count == 4)
        #expect(nexthops.map(\.gateway) == [single.gateway, other.gateway, nil, nil])
        #expect(nexthops.map(\.onlink) == [true, false, false, false])
        #expect(nexthops[0].proto == single.proto && nexthops[0].interface == interface)
        #expect(nexthops[2].group == group.group && nexthops[3].blackhole)
        let found = try #require(try host.socket.routes().first { $0.destination == route.destination })
        let resolved = NextHop(gateway: single.gateway, interface: interface, onlink: true)
        #expect(found.path == .nexthopObject(id: 17, resolved: resolved))
        let foundShared = try #require(try host.socket.routes().first { $0.destination == shared.destination })
        #expect(foundShared.path == .nexthopObject(id: 19, resolved: nil))
        try host.apply(.deleteRoute(shared), .deleteNexthop(id: 19), .deleteNexthop(id: 17))
        #expect(try !host.socket.routes().contains { $0.destination == route.destination })
    }

    @Test func filters() throws {
        let mine = RouteProtocol(rawValue: 84)
        try host.apply(
            .addRoute(
                Route(destination: try prefix("10.1.0.0/16"), proto: mine, path: .single(NextHop(interface: interface)))
            ),
            .addRoute(
                Route(destination: try prefix("10.2.0.0/16"), table: 77, path: .single(NextHop(interface: interface)))),
            .addRoute(Route(destination: try prefix("10.3.0.0/16"), type: .blackhole, path: .none)))
        #expect(try host.socket.routes(RouteFilter(proto: mine)).map(\.destination) == [try prefix("10.1.0.0/16")])
        #expect(try host.socket.routes(RouteFilter(table: 77)).map(\.destination) == [try prefix("10.2.0.0/16")])
        #expect(try host.socket.routes(RouteFilter(table: 78)).isEmpty)
        #expect(try host.socket.routes(RouteFilter(type: .blackhole)).map(\.destination) == [try prefix("10.3.0.0/16")])
        let onInterface = try host.socket.routes(RouteFilter(family: .v4, interface: interface))
        #expect(onInterface.contains { $0.table == 77 } && !onInterface.contains { $0.type == .blackhole })
        #expect(try host.socket.routes(RouteFilter(family: .v6)).allSatisfy { $0.destination.isIPv6 })
    }

    @Test func rules() throws {
        var rule = Rule(
            family: .v4, priority: 100, source: try prefix("10.0.0.0/8"), table: 1000, mark: 0x4000, mask: 0xff00,
            isInverted: true, ipProtocol: 6, destinationPorts: 80...90, proto: RouteProtocol(rawValue: 84))
        rule.suppressPrefixLength = 0
        let six = Rule(family: .v6, priority: 101, destination: try prefix("fd00::/8"), table: 77)
        try host.apply(.addRule(rule), .addRule(six))
        let found = try host.socket.rules()
        #expect(found.contains(rule))
        #expect(found.contains { $0.family == .v6 && $0.priority == 101 && $0.destination == six.destination })
        try host.apply(.deleteRule(rule), .deleteRule(six))
        #expect(try !host.socket.rules().contains { $0.priority == 100 || $0.priority == 101 })
    }
}

func ip(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
func prefix(_ text: String) throws -> IPPrefix {
    if let prefix = IPv4Prefix(text) { return .v4(prefix) }
    return .v6(try #require(IPv6Prefix(text)))
}
