import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Testing

@Suite(.needsRoot, .timeLimit(.minutes(2))) struct MonitorKernelTests {
    let host: TestNamespace

    init() throws { host = try TestNamespace() }

    /// Reads on until an event answers the question.
    func first(_ monitor: NetlinkMonitor, where matches: (NetlinkEvent) -> Bool) async -> NetlinkEvent? {
        for await event in monitor where matches(event) { return event }
        return nil
    }

    @Test func ownChangesAreLeftOut() async throws {
        let own = try NetlinkRouteSocket(namespace: host.namespace)
        let interface = try host.makeVeth()
        try host.apply(
            .addAddress(Address(interface: interface, address: try ip("192.0.2.1"), prefixLength: 24)))
        let monitor = try NetlinkMonitor(groups: .routes, namespace: host.namespace, ignoring: own)
        let hop = RoutePath.single(NextHop(gateway: try ip("192.0.2.9"), interface: interface))
        let mine = Route(destination: try prefix("10.5.0.0/16"), path: hop)
        let theirs = Route(destination: try prefix("10.6.0.0/16"), path: hop)
        #expect(try own.execute([.addRoute(mine)]).isEmpty)
        try host.apply(.addRoute(theirs))
        let event = await first(monitor) { if case .routeChanged = $0 { true } else { false } }
        #expect(event == .routeChanged(theirs))
    }

    @Test func eachKindOfChangeArrives() async throws {
        let monitor = try NetlinkMonitor(namespace: host.namespace)
        let interface = try host.makeVeth()
        let address = Address(interface: interface, address: try ip("192.0.2.1"), prefixLength: 24)
        let mac = try #require(MACAddress("8e:01:02:03:04:05"))
        let neighbour = Neighbour(interface: interface, address: try ip("192.0.2.9"), linkLayer: mac)
        let route = Route(
            destination: try prefix("10.5.0.0/16"),
            path: .single(NextHop(gateway: try ip("192.0.2.9"), interface: interface)))
        let rule = Rule(family: .v4, priority: 100, table: 1000)
        let nexthop = NexthopObject(id: 5, interface: interface, gateway: try ip("192.0.2.9"))
        let entry = ForwardingEntry(interface: interface, mac: mac, flags: .self)
        try host.apply(
            .addAddress(address), .replaceNeighbour(neighbour), .addRoute(route), .addRule(rule),
            .replaceNexthop(nexthop), .deleteNexthop(id: 5), .deleteRule(rule), .deleteRoute(route),
            .deleteNeighbour(neighbour), .replaceForwardingEntry(entry), .deleteForwardingEntry(entry),
            .deleteAddress(address), .deleteLink(index: interface))
        var wanted: [(String, (NetlinkEvent) -> Bool)] = [
            ("link", { if case .linkChanged(let link) = $0 { link.name.text == "eth0" } else { false } }),
            (
                "address",
                { if case .addressChanged(let found) = $0 { found.address == address.address } else { false } }
            ),
            ("neighbour", { $0 == .neighbourChanged(neighbour) }),
            ("route", { $0 == .routeChanged(route) }),
            ("rule", { if case .ruleChanged(let found) = $0 { found.priority == 100 } else { false } }),
            ("nexthop", { if case .nexthopChanged(let found) = $0 { found.id == 5 } else { false } }),
            ("nexthop gone", { if case .nexthopRemoved(let found) = $0 { found.id == 5 } else { false } }),
            ("rule gone", { if case .ruleRemoved(let found) = $0 { found.priority == 100 } else { false } }),
            ("route gone", { $0 == .routeRemoved(route) }),
            (
                "neighbour gone",
                { if case .neighbourRemoved(let found) = $0 { found.address == neighbour.address } else { false } }
            ),
            ("entry", { if case .forwardingEntryChanged(let found) = $0 { found.mac == mac } else { false } }),
            ("entry gone", { if case .forwardingEntryRemoved(let found) = $0 { found.mac == mac } else { false } }),
            (
                "address gone",
                { if case .addressRemoved(let found) = $0 { found.address == address.address } else { false } }
            ),
            ("link gone", { if case .linkRemoved(let link) = $0 { link.index == interface } else { false } }),
        ]
        for await event in monitor {
            wanted.removeAll { $0.1(event) }
            if case .linkRemoved(let link) = event, link.index == interface { break }
        }
        #expect(wanted.isEmpty, "missing: \(wanted.map(\.0))")
    }

    @Test func leavingABridgeIsNoRemoval() async throws {
        let interface = try host.makeVeth()
        try host.ip("link add br0 type bridge")
        let monitor = try NetlinkMonitor(groups: .links, namespace: host.namespace)
        try host.ip("link set eth0 master br0")
        try host.ip("link set eth0 nomaster")
        try host.ip("link add last type bridge")
        for await event in monitor {
            if case .linkRemoved(let link) = event { Issue.record("\(link)") }
            if case .linkChanged(let link) = event, link.name.text == "last" { break }
        }
        #expect(interface > 0)
    }

    /// The kernel's buffer overruns: a resync comes, and a change after it arrives or is covered by another resync.
    @Test func overrunOfTheSocket() async throws {
        let monitor = try NetlinkMonitor(
            groups: [.neighbours, .links], namespace: host.namespace, limit: 1 << 20, receiveBuffer: 1)
        // A link's end tells of each of its neighbours in one go, faster than a thread can read; on a machine where it
        // reads along all the same, another round follows.
        var rounds = 0
        var hasOverrun = false
        while !hasOverrun, rounds < 100 {
            rounds += 1
            let interface = try host.makeVeth("round\(rounds)")
            let mac = try #require(MACAddress("8e:01:02:03:04:05"))
            let neighbours = (0..<4000).map { index in
                RouteRequest.replaceNeighbour(
                    Neighbour(
                        interface: interface, address: .v4(IPv4Address(rawValue: 0x0a00_0000 + UInt32(index))),
                        linkLayer: mac))
            }
            #expect(try host.socket.execute(neighbours + [.deleteLink(index: interface)]).isEmpty)
            try host.ip("link add end\(rounds) type bridge")
            let event = await first(monitor) { event in
                if case .linkChanged(let link) = event { return link.name.text == "end\(rounds)" }
                return event == .resync
            }
            hasOverrun = event == .resync
        }
        #expect(hasOverrun)
        try host.ip("link add last type bridge")
        let event = await first(monitor) { event in
            if case .linkChanged(let link) = event { return link.name.text == "last" }
            return event == .resync
        }
        #expect(event != nil)
    }

    @Test func endsWhenTheTaskIsCancelled() async throws {
        let monitor = try NetlinkMonitor(namespace: host.namespace)
        let task = Task {
            for await _ in monitor {}
            return true
        }
        task.cancel()
        #expect(await task.value)
        let iterator = monitor.makeAsyncIterator()
        #expect(await iterator.next() == nil)
    }

    @Test func rawMessages() async throws {
        let groups: [UInt32] = [1]  // RTNLGRP_LINK
        let messages = try NetlinkMessages(protocol: 0, groups: groups, namespace: host.namespace)
        try host.ip("link add br0 type bridge")
        for await element in messages {
            guard case .message(let message) = element else { continue }
            #expect(message.type == 16 && message.payload.count > 16)
            break
        }
    }
}
