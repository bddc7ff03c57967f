import Glibc
import IPNetwork
import KernelState
import LinuxSystem
import Netlink
import NetlinkTesting
import Testing

@testable import Reconcile

/// Each thing that can happen to a host's state, for one family and for both, alone and under every single fault.
@Suite struct ScenarioTests {
    /// What somebody does to a settled kernel.
    enum Scenario: String, CaseIterable, Sendable {
        case fromNothing, linkDeleted, linkDown, macChanged, mtuChanged, addressRemoved, extraAddress, routesFlushed
        case routeReplaced, strayRoute, neighbourLost, fdbFlushed, uplinkFlapped, peersChanged, portChanged, alienDevice
        case fdbPortChanged, renamed, blackholeDeleted, stockBlackhole, bridgeMade, blackholeUnwanted
        case mtuTooSmall, uplinkAddressRenewed, routeJoined, routeBehind
    }

    private static let peers = 1..<6

    func arrange(_ scenario: Scenario, _ bench: Bench) async throws -> DesiredState {
        let settled = bench.sides.desired(peers: Self.peers)
        let kernel = bench.kernel
        if scenario == .alienDevice {
            for side in bench.sides { _ = kernel.makeLink(NewLink(name: side.overlay, kind: .veth(peer: nil))) }
        }
        if scenario != .fromNothing && scenario != .alienDevice {
            await bench.reconciler.setDesired(settled, policy: bench.policy)
            try await bench.settle()
        }
        switch scenario {
        case .blackholeUnwanted:
            var desired = settled
            desired.blackholes = []
            await bench.reconciler.update(DesiredChange(removed: bench.sides.blackholes))
            return desired
        case .peersChanged:
            let change = DesiredChange(removed: bench.sides.peer(1), added: bench.sides.peer(9))
            await bench.reconciler.update(change)
            var desired = settled
            desired.apply(change)
            return desired
        case .portChanged:
            let desired = bench.sides.desired(peers: Self.peers, port: 4789)
            await bench.reconciler.setDesired(desired, policy: bench.policy)
            return desired
        case .fromNothing, .alienDevice:
            await bench.reconciler.setDesired(settled, policy: bench.policy)
        case .uplinkFlapped:
            kernel.change(.changeLink(LinkChange(index: bench.uplink, isUp: false)))
            kernel.change(.changeLink(LinkChange(index: bench.uplink, isUp: true)))
        case .bridgeMade:
            let bridge = try #require(
                kernel.makeLink(NewLink(name: Bench.bridge, kind: .bridge(BridgeSettings()), isUp: true)))
            for side in bench.sides {
                let address = side.bridgeAddress
                kernel.change(
                    .addAddress(
                        Address(
                            interface: bridge, address: address, prefixLength: side.subnetLength,
                            flags: side.isIPv6 ? .noDuplicateDetection : [])))
            }
        default:
            for side in bench.sides { try act(scenario, side, bench) }
        }
        return settled
    }

    private func act(_ scenario: Scenario, _ side: Side, _ bench: Bench) throws {
        let kernel = bench.kernel
        let index = try #require(try bench.index(side))
        func change(_ request: RouteRequest) { #expect(kernel.change(request).isEmpty, "\(request)") }
        func way(_ number: Int) -> RoutePath {
            .single(NextHop(gateway: side.gateway(number), interface: index, onlink: true))
        }
        switch scenario {
        case .linkDeleted: change(.deleteLink(index: index))
        case .linkDown: change(.changeLink(LinkChange(index: index, isUp: false)))
        case .macChanged:
            change(.changeLink(LinkChange(index: index, hardwareAddress: MACAddress("02:00:00:00:00:99")!)))
        case .mtuChanged: change(.changeLink(LinkChange(index: index, mtu: 1280)))
        case .mtuTooSmall: change(.changeLink(LinkChange(index: index, mtu: 1279)))
        case .addressRemoved:
            change(
                .deleteAddress(Address(interface: index, address: side.ownAddress, prefixLength: side.hostLength)))
        case .extraAddress:
            change(
                .addAddress(Address(interface: index, address: side.otherAddress, prefixLength: side.hostLength)))
            kernel.finishDuplicateDetection()
        case .uplinkAddressRenewed:
            let address = side.uplinkAddress(bench.uplink)
            change(.deleteAddress(address))
            change(.addAddress(address))
        case .routesFlushed:
            for route in try kernel.routes(RouteFilter(table: Route.mainTable, interface: index)) {
                change(.deleteRoute(route))
            }
        case .routeReplaced:
            let path = RoutePath.single(NextHop(gateway: side.remote(99), interface: bench.uplink))
            change(.replaceRoute(Route(destination: side.subnet(3), path: path)))
        case .strayRoute:
            change(.addRoute(Route(destination: side.foreign, path: .single(NextHop(interface: index)))))
        case .routeJoined:
            change(.appendRoute(Route(destination: side.subnet(3), path: way(4))))
        case .routeBehind:
            change(.appendRoute(Route(destination: side.subnet(3), path: .single(NextHop(interface: index)))))
        case .neighbourLost:
            change(.deleteNeighbour(Neighbour(interface: index, address: side.gateway(2))))
        case .fdbFlushed:
            for entry in try kernel.forwardingEntries(interface: index) { change(.deleteForwardingEntry(entry)) }
        case .fdbPortChanged:
            var entry = try #require(try kernel.forwardingEntries(interface: index).first)
            entry.port = 9999
            change(.replaceForwardingEntry(entry))
        case .renamed:
            change(
                .changeLink(LinkChange(index: index, name: InterfaceName(side.isIPv6 ? "stolen6" : "stolen0")!)))
        case .blackholeDeleted:
            let key = RouteKey.blackhole(side.ownSubnet)
            change(
                .deleteRoute(
                    Route(
                        destination: key.destination, proto: .unspecified, type: .blackhole, metric: key.metric,
                        path: .none)))
        case .stockBlackhole:
            change(.addRoute(Route(destination: side.ownSubnet, type: .blackhole, path: .none)))
        case .fromNothing, .alienDevice, .uplinkFlapped, .peersChanged, .portChanged, .bridgeMade, .blackholeUnwanted:
            Issue.record("\(scenario) is not of one side")
        }
    }

    @Test(arguments: Scenario.allCases, [Side].all) func heals(_ scenario: Scenario, _ sides: [Side]) async throws {
        let bench = try Bench(sides)
        let desired = try await arrange(scenario, bench)
        await bench.reconciler.audit()
        try await bench.settle(1)
        #expect(try bench.observed() == desired, "in one pass")
        #expect(await bench.reconciler.status.isSettled)
        bench.kernel.finishDuplicateDetection()
        let before = bench.kernel.journal.count
        await bench.reconciler.audit()
        try await bench.settle()
        #expect(bench.kernel.journal.count == before, "a second pass has nothing to do")
    }

    /// Every scenario under every single fault: each request refused once, each dump failed or interrupted once, the
    /// answers of each batch lost, and the overlay's interfaces deleted between reading and writing.
    @Test(arguments: Scenario.allCases, [Side].all)
    func healsUnderEverySingleFault(_ scenario: Scenario, _ sides: [Side]) async throws {
        for (number, plan) in Self.plans(scenario, requests: try await requests(scenario, sides)).enumerated() {
            let bench = try Bench(sides)
            let desired = try await arrange(scenario, bench)
            bench.kernel.plan = plan
            await bench.reconciler.audit()
            try await bench.settle()
            bench.kernel.plan = .none
            #expect(try bench.observed() == desired, "plan \(number)")
            #expect(await bench.reconciler.status.isSettled, "plan \(number)")
        }
    }

    /// How many requests the healing takes when nothing goes wrong.
    private func requests(_ scenario: Scenario, _ sides: [Side]) async throws -> Int {
        let bench = try Bench(sides)
        _ = try await arrange(scenario, bench)
        bench.kernel.clearJournal()
        await bench.reconciler.audit()
        try await bench.settle()
        return bench.kernel.journal.count
    }

    private static func plans(_ scenario: Scenario, requests: Int) -> [FaultPlan] {
        var plans: [FaultPlan] = [FaultPlan([.init(.answers, code: 0)])]
        // Two more: the answer to a fault may take requests of its own.
        for number in 0..<(requests + 2) {
            for code in [ENODEV, ENOBUFS, EBUSY] { plans.append(FaultPlan([.init(.request(number), code: code)])) }
        }
        for table in FaultPlan.Table.allCases {
            for code in [EINTR, ENOBUFS] { plans.append(FaultPlan([.init(.dump(table), code: code)])) }
        }
        // The batch of these does not touch the interface, whose end a notification would tell.
        if ![.stockBlackhole, .blackholeUnwanted, .blackholeDeleted].contains(scenario) {
            plans.append(
                FaultPlan(beforeNextBatch: { kernel in
                    for side in [Side.ipv4, .ipv6] {
                        guard let link = try? kernel.links().first(where: { $0.name == side.overlay }) else { continue }
                        kernel.change(.deleteLink(index: link.index))
                    }
                }))
        }
        return plans
    }

    /// Each of others' changes is noticed by its notification alone.
    @Test(
        arguments: Scenario.allCases.filter {
            ![
                .fromNothing, .peersChanged, .portChanged, .alienDevice, .uplinkFlapped, .bridgeMade,
                .blackholeUnwanted, .uplinkAddressRenewed,
            ].contains($0)
        }, [Side].all) func driftIsNoticed(_ scenario: Scenario, _ sides: [Side]) async throws
    {
        let bench = try Bench(sides)
        let settled = sides.desired(peers: Self.peers)
        await bench.reconciler.setDesired(settled, policy: bench.policy)
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
