import Glibc
import IPNetwork
import KernelState
import LinuxSystem
import Netlink
import NetlinkTesting
import Testing

@testable import Reconcile

@Suite struct ReconcilerTests {
    /// What somebody does to a settled kernel.
    enum Scenario: String, CaseIterable, Sendable {
        case fromNothing, linkDeleted, linkDown, macChanged, mtuChanged, addressRemoved, extraAddress, routesFlushed
        case routeReplaced, strayRoute, neighbourLost, fdbFlushed, uplinkFlapped, peersChanged, portChanged, alienDevice
        case fdbPortChanged, renamed, blackholeDeleted, stockBlackhole, bridgeMade, blackholeUnwanted
    }

    func arrange(_ scenario: Scenario, _ bench: Bench) async throws -> DesiredState {
        let settled = Bench.desired(peers: 1..<6)
        let kernel = bench.kernel
        if scenario == .alienDevice { _ = kernel.makeLink(NewLink(name: Bench.overlay, kind: .veth(peer: nil))) }
        if scenario != .fromNothing && scenario != .alienDevice {
            await bench.reconciler.setDesired(settled, policy: Bench.policy)
            try await bench.settle()
        }
        let index = try bench.overlayIndex ?? 0
        switch scenario {
        case .fromNothing, .alienDevice: break
        case .linkDeleted: kernel.change(.deleteLink(index: index))
        case .linkDown: kernel.change(.changeLink(LinkChange(index: index, isUp: false)))
        case .macChanged:
            kernel.change(.changeLink(LinkChange(index: index, hardwareAddress: MACAddress("02:00:00:00:00:99")!)))
        case .mtuChanged: kernel.change(.changeLink(LinkChange(index: index, mtu: 1280)))
        case .addressRemoved:
            kernel.change(.deleteAddress(Address(interface: index, address: IPAddress("10.5.19.0")!, prefixLength: 32)))
        case .extraAddress:
            kernel.change(.addAddress(Address(interface: index, address: IPAddress("192.0.2.1")!, prefixLength: 32)))
        case .routesFlushed:
            for route in try kernel.routes(RouteFilter(interface: index)) { kernel.change(.deleteRoute(route)) }
        case .routeReplaced:
            let gateway = NextHop(gateway: IPAddress("172.30.0.99")!, interface: bench.uplink)
            kernel.change(.replaceRoute(Route(destination: IPPrefix("10.5.3.0/24")!, path: .single(gateway))))
        case .strayRoute:
            kernel.change(
                .addRoute(
                    Route(destination: IPPrefix("198.51.100.0/24")!, path: .single(NextHop(interface: index)))))
        case .neighbourLost:
            kernel.change(.deleteNeighbour(Neighbour(interface: index, address: IPAddress("10.5.2.0")!)))
        case .fdbFlushed:
            for entry in try kernel.forwardingEntries(interface: index) { kernel.change(.deleteForwardingEntry(entry)) }
        case .fdbPortChanged:
            var entry = try #require(try kernel.forwardingEntries(interface: index).first)
            entry.port = 9999
            kernel.change(.replaceForwardingEntry(entry))
        case .renamed:
            kernel.change(.changeLink(LinkChange(index: index, name: InterfaceName("stolen0")!)))
        case .blackholeDeleted:
            let key = RouteKey.blackhole(Bench.ownSubnet)
            kernel.change(
                .deleteRoute(
                    Route(
                        destination: key.destination, proto: .unspecified, type: .blackhole, metric: key.metric,
                        path: .none)))
        case .stockBlackhole:
            kernel.change(.addRoute(Route(destination: Bench.ownSubnet, type: .blackhole, path: .none)))
        case .bridgeMade:
            let bridge = try #require(
                kernel.makeLink(NewLink(name: Bench.bridge, kind: .bridge(BridgeSettings()), isUp: true)))
            kernel.change(
                .addAddress(Address(interface: bridge, address: IPAddress("10.5.19.1")!, prefixLength: 24)))
        case .blackholeUnwanted:
            var desired = settled
            desired.blackholes = []
            await bench.reconciler.update(DesiredChange(removed: Self.blackhole))
            return desired
        case .uplinkFlapped:
            kernel.change(.changeLink(LinkChange(index: bench.uplink, isUp: false)))
            kernel.change(.changeLink(LinkChange(index: bench.uplink, isUp: true)))
        case .peersChanged:
            await bench.reconciler.update(DesiredChange(removed: Bench.peer(1), added: Bench.peer(9)))
            var desired = settled
            desired.apply(DesiredChange(removed: Bench.peer(1), added: Bench.peer(9)))
            return desired
        case .portChanged:
            let desired = Bench.desired(peers: 1..<6, port: 4789)
            await bench.reconciler.setDesired(desired, policy: Bench.policy)
            return desired
        }
        if scenario == .fromNothing || scenario == .alienDevice {
            await bench.reconciler.setDesired(settled, policy: Bench.policy)
        }
        return settled
    }

    private static let blackhole: DesiredState = {
        var state = DesiredState()
        state.blackholes = [Bench.ownSubnet]
        return state
    }()

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

    @Test(arguments: Scenario.allCases) func heals(_ scenario: Scenario) async throws {
        let bench = try Bench()
        let desired = try await arrange(scenario, bench)
        await bench.reconciler.audit()
        try await bench.settle(1)
        #expect(try bench.observed() == desired, "in one pass")
        #expect(await bench.reconciler.status.isSettled)
        let before = bench.kernel.journal.count
        await bench.reconciler.audit()
        try await bench.settle()
        #expect(bench.kernel.journal.count == before, "a second pass has nothing to do")
    }

    /// Every scenario under every single fault: each request refused once, each dump failed or interrupted once, the
    /// answers of each batch lost, and the overlay's interface deleted between reading and writing.
    @Test(arguments: Scenario.allCases) func healsUnderEverySingleFault(_ scenario: Scenario) async throws {
        var plans: [FaultPlan] = [FaultPlan([.init(.answers, code: 0)])]
        for number in 0..<24 {
            for code in [ENODEV, ENOBUFS, EBUSY] { plans.append(FaultPlan([.init(.request(number), code: code)])) }
        }
        for table in FaultPlan.Table.allCases {
            for code in [EINTR, ENOBUFS] { plans.append(FaultPlan([.init(.dump(table), code: code)])) }
        }
        // The batch of these does not touch the interface, whose end a notification would tell.
        if ![.stockBlackhole, .blackholeUnwanted, .blackholeDeleted].contains(scenario) {
            plans.append(
                FaultPlan(beforeNextBatch: { kernel in
                    guard let link = try? kernel.links().first(where: { $0.name == Bench.overlay }) else { return }
                    kernel.change(.deleteLink(index: link.index))
                }))
        }
        for (number, plan) in plans.enumerated() {
            let bench = try Bench()
            let desired = try await arrange(scenario, bench)
            bench.kernel.plan = plan
            await bench.reconciler.audit()
            try await bench.settle()
            bench.kernel.plan = .none
            #expect(try bench.observed() == desired, "plan \(number)")
            #expect(await bench.reconciler.status.isSettled, "plan \(number)")
        }
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

    /// Each of others' changes is noticed by its notification alone.
    @Test(
        arguments: Scenario.allCases.filter {
            ![
                .fromNothing, .peersChanged, .portChanged, .alienDevice, .uplinkFlapped, .bridgeMade,
                .blackholeUnwanted,
            ].contains($0)
        }) func driftIsNoticed(_ scenario: Scenario) async throws
    {
        let bench = try Bench()
        let settled = Bench.desired(peers: 1..<6)
        await bench.reconciler.setDesired(settled, policy: Bench.policy)
        try await bench.settle()
        let events = bench.kernel.events()
        _ = try await arrange(scenario, bench)
        bench.kernel.finishEvents()
        for await event in events { await bench.reconciler.note(event) }
        let report = await bench.reconciler.reconcile()
        #expect(report.didRead)
        #expect(try bench.observed() == settled)
    }
}
