import Glibc
import IPNetwork
import KernelState
import LinuxSystem
import Netlink
import NetlinkTesting
import Testing

@testable import Reconcile

@Suite struct ReconcilerTests {
    /// flannel's has the metric of a bridge's own route, and cuts the bridge off when it was there first; an operator's
    /// own, which says who made it, stays.
    @Test func stockBlackholeGoesAndOthersRoutesStay() async throws {
        let bench = try Bench()
        let bridge = try #require(
            bench.kernel.makeLink(NewLink(name: Bench.bridge, kind: .bridge(BridgeSettings()), isUp: true)))
        let operators = Route(
            destination: IPPrefix("10.5.77.0/24")!, proto: .static, type: .blackhole, metric: 5, path: .none)
        bench.kernel.change(
            .addRoute(Route(destination: Bench.ownSubnet, type: .blackhole, metric: 7, path: .none)),
            .addRoute(operators),
            .addRoute(Route(destination: IPPrefix("10.5.78.0/24")!, type: .blackhole, path: .none)),
            .addAddress(Address(interface: bridge, address: IPAddress("10.5.19.1")!, prefixLength: 24)))
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<3), policy: Bench.policy)
        try await bench.settle()
        let routes = try bench.kernel.routes(RouteFilter(table: Route.mainTable))
        let own = routes.filter { $0.destination == Bench.ownSubnet }
        #expect(own.map(\.type) == [.unicast, .blackhole], "the bridge's, and ours behind it")
        #expect(own.last?.proto == OwnershipPolicy.routeProtocol)
        #expect(own.first?.metric ?? 0 < own.last?.metric ?? 0)
        #expect(routes.contains(operators))
        #expect(routes.contains { $0.destination == IPPrefix("10.5.78.0/24")! }, "not our subnet")
    }

    @Test func aPeerThatMovesHostCostsTwoRequests() async throws {
        let bench = try Bench()
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<6), policy: Bench.policy)
        try await bench.settle()
        bench.kernel.clearJournal()
        let index = try #require(try bench.overlayIndex)
        // The MAC stays, as it is derived from the subnet: one FDB entry changes.
        var moved = Bench.peer(3)
        moved.fdb = moved.fdb.mapValues { _ in IPAddress("172.30.0.77")! }
        await bench.reconciler.update(DesiredChange(removed: Bench.peer(3), added: moved))
        try await bench.settle(1)
        #expect(
            bench.kernel.journal.map(\.request.description) == [
                "replace forwarding entry 02:00:00:00:00:03 dev \(index) dst 172.30.0.77"
            ])
        bench.kernel.clearJournal()
        await bench.reconciler.update(DesiredChange(removed: moved, added: Bench.peer(3, host: 88)))
        try await bench.settle(1)
        #expect(
            bench.kernel.journal.map(\.request.description) == [
                "replace forwarding entry 02:00:00:00:00:58 dev \(index) dst 172.30.0.88",
                "replace neighbour 10.5.3.0 dev \(index) lladdr 02:00:00:00:00:58",
                "delete forwarding entry 02:00:00:00:00:03 dev \(index) dst 172.30.0.77",
            ])
    }

    @Test func foreignStateIsNotTouched() async throws {
        let bench = try Bench()
        let hop = RoutePath.single(NextHop(gateway: IPAddress("172.30.0.99")!, interface: bench.uplink))
        let foreign = [
            Route(destination: IPPrefix("10.5.3.0/24")!, proto: .static, path: hop),
            Route(destination: IPPrefix("10.5.99.0/24")!, proto: .boot, path: hop),
            Route(destination: IPPrefix("10.99.0.0/24")!, proto: OwnershipPolicy.routeProtocol, path: hop),
            Route(destination: IPPrefix("10.5.4.0/24")!, table: 100, proto: .boot, path: hop),
        ]
        for route in foreign { #expect(bench.kernel.change(.addRoute(route)).isEmpty) }
        let before = try bench.kernel.routes().filter { $0.proto != .kernel }
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<6), policy: Bench.policy)
        try await bench.settle()
        let after = try bench.kernel.routes()
        for route in before { #expect(after.contains(route), "\(route) is untouched") }
        #expect(await bench.reconciler.status.conflicts.keys.sorted() == ["10.5.3.0/24"])
        #expect(await bench.reconciler.status.isSettled, "one conflict does not unsettle the rest")
        // When the foreign route goes, ours is put.
        bench.kernel.change(.deleteRoute(foreign[0]))
        await bench.reconciler.note(.routeRemoved(foreign[0]))
        try await bench.settle(1)
        #expect(await bench.reconciler.status.conflicts.isEmpty)
        #expect(try bench.observed() == Bench.desired(peers: 1..<6))
    }

    @Test func stockRoutesAreAdoptedAndLeftoversRemoved() async throws {
        let bench = try Bench()
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<2), policy: Bench.policy)
        try await bench.settle()
        let index = try #require(try bench.overlayIndex)
        // What a stock flanneld leaves: routes with protocol boot; peer 2 has a lease, 200 has none any more.
        for number in [2, 200] {
            let gateway = IPAddress.v4(IPv4Address(10, 5, UInt8(number), 0))
            bench.kernel.change(
                .addRoute(
                    Route(
                        destination: IPPrefix(gateway, length: 24)!,
                        path: .single(NextHop(gateway: gateway, interface: index, onlink: true)))))
        }
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<3), policy: Bench.policy)
        bench.kernel.clearJournal()
        try await bench.settle(1)
        #expect(try bench.observed() == Bench.desired(peers: 1..<3))
        #expect(
            bench.kernel.journal.contains { if case .replaceRoute = $0.request { true } else { false } },
            "the adopted route is replaced in place, never removed first")
    }

    /// A VNI of another number means another device; the old one goes.
    @Test func theFormerDeviceIsRemoved() async throws {
        let bench = try Bench()
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<3), policy: Bench.policy)
        try await bench.settle()
        var desired = DesiredState()
        let name = InterfaceName("flannel.2")!
        desired.links[name] = LinkSpec(
            name: name,
            kind: .vxlan(VXLANSpec(vni: 2, port: 8472, local: IPAddress("172.30.0.11")!, lower: Bench.uplinkName)),
            mtu: 1450, mac: MACAddress("ee:04:0a:05:13:00")!)
        await bench.reconciler.setDesired(
            desired, policy: OwnershipPolicy(interfaces: [name], networks: Bench.policy.networks))
        try await bench.settle()
        let names = try bench.kernel.links().map(\.name.text).filter { $0.hasPrefix("flannel") }
        #expect(names == ["flannel.2"])
        #expect(await bench.reconciler.status.isSettled)
    }

    /// What the kernel refuses of one peer's holds up nobody: the host is as ready as it can be.
    @Test func aRefusedPeerDoesNotHoldUpTheHost() async throws {
        let bench = try Bench()
        bench.kernel.plan = FaultPlan([
            .init(
                .requestMatching {
                    if case .addRoute(let route) = $0 { route.destination == IPPrefix("10.5.3.0/24")! } else { false }
                }, code: EINVAL, isLasting: true)
        ])
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<6), policy: Bench.policy)
        await bench.reconciler.reconcile()
        var status = await bench.reconciler.status
        #expect(!status.isSettled && status.isApplied)
        #expect(status.peerFailures.count == 1 && status.hostFailures.isEmpty)
        // The next lease is served at once, without reading the kernel again.
        await bench.reconciler.update(DesiredChange(added: Bench.peer(9)))
        #expect(await bench.reconciler.reconcile().didRead == false)
        bench.kernel.plan = .none
        try await bench.settle()
        status = await bench.reconciler.status
        #expect(status.isSettled && status.peerFailures.isEmpty)
    }

    @Test func aKernelWithoutVXLANIsNamedWithTheRemedy() async throws {
        let bench = try Bench()
        bench.kernel.plan = FaultPlan([
            .init(
                .requestMatching { if case .createLink = $0 { true } else { false } }, code: EOPNOTSUPP, isLasting: true
            )
        ])
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<3), policy: Bench.policy)
        await bench.reconciler.reconcile()
        let status = await bench.reconciler.status
        #expect(!status.isApplied)
        #expect(status.hostFailures.count == 1)
        #expect(status.hostFailures.first?.contains("modprobe vxlan") == true)
        bench.kernel.plan = .none
        try await bench.settle()
        #expect(try bench.observed() == Bench.desired(peers: 1..<3))
    }

    /// The kernel drops the routes through an interface with its address and says nothing of them.
    @Test func anAddressChangeOfTheUplinkIsNoticed() async throws {
        let bench = try Bench()
        var desired = Bench.desired(peers: 1..<2)
        let direct = RouteKey(destination: IPPrefix("10.5.9.0/24")!)
        desired.routes[direct] = RouteSpec(interface: Bench.uplinkName, gateway: IPAddress("172.30.0.19")!)
        await bench.reconciler.setDesired(desired, policy: Bench.policy)
        try await bench.settle()
        let address = Address(interface: bench.uplink, address: IPAddress("172.30.0.11")!, prefixLength: 24)
        await bench.reconciler.note(.addressChanged(address))
        #expect(await bench.reconciler.reconcile().didRead)
    }

    @Test func manyIPv6RoutesStayPlain() async throws {
        let bench = try Bench()
        var desired = Bench.desired(peers: 1..<3)
        for number in 1..<(Planner.nexthopObjectThreshold + 2) {
            let gateway = IPAddress.v6(IPv6Address(rawValue: (0xfd00_0010_0000_0000 + UInt128(number)) << 64))
            let key = RouteKey(destination: try #require(IPPrefix(gateway, length: 64)))
            desired.routes[key] = RouteSpec(interface: Bench.overlay, gateway: gateway, onlink: true)
        }
        await bench.reconciler.setDesired(desired, policy: Bench.policy)
        try await bench.settle(1)
        #expect(try bench.observed().routes == desired.routes)
        #expect(try bench.kernel.nexthops().isEmpty)
    }

    @Test func manyRoutesUseNexthopObjects() async throws {
        let bench = try Bench()
        let many = 1..<(Planner.nexthopObjectThreshold + 2)
        var desired = Bench.desired(peers: 1..<6)
        await bench.reconciler.setDesired(desired, policy: Bench.policy)
        try await bench.settle(1)
        #expect(try bench.kernel.nexthops().isEmpty)
        desired = Bench.desired(peers: many)
        await bench.reconciler.setDesired(desired, policy: Bench.policy)
        try await bench.settle(1)
        #expect(try bench.observed() == desired)
        #expect(try bench.kernel.nexthops().count == many.count - 5, "routes that were there stay as they are")
        await bench.reconciler.update(DesiredChange(removed: Bench.peer(1_000)))
        try await bench.settle(1)
        #expect(try bench.kernel.nexthops().count == many.count - 6, "with the route goes its object")
        // A flush of the routes and of the objects heals.
        let index = try #require(try bench.overlayIndex)
        bench.kernel.change(.changeLink(LinkChange(index: index, isUp: false)))
        await bench.reconciler.audit()
        try await bench.settle(2)
        desired.removeKeys(of: Bench.peer(1_000))
        #expect(try bench.observed() == desired)
    }

    /// Own requests come back as notifications; they must not cause passes.
    @Test func echoesAreQuiet() async throws {
        let bench = try Bench()
        let events = bench.kernel.events()
        await bench.reconciler.setDesired(Bench.desired(peers: 1..<6), policy: Bench.policy)
        try await bench.settle()
        await bench.reconciler.update(DesiredChange(removed: Bench.peer(1), added: Bench.peer(7)))
        try await bench.settle()
        bench.kernel.finishEvents()
        for await event in events { await bench.reconciler.note(event) }
        let report = await bench.reconciler.reconcile()
        #expect(!report.didRead, "nothing called for reading the kernel again")
    }
}
