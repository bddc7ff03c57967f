import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Testing

@testable import Containers

@Suite(.needsRoot) struct AttachKernelTests {
    @Test func bridge() async throws {
        let ground = try AttachGround()
        let before = try ground.snapshot()
        let status = try await ground.attacher.attach(
            try ground.request("br7 -i eth2 W 10.9.0.2/24@10.9.0.1 02:00:00:00:00:07"))
        let host = try ground.network(ground.host)
        let inside = try ground.network(ground.container)
        let bridge = try #require(try host.links().first { $0.name.text == "br7" })
        let port = try #require(try host.links().first { $0.name.text == status.hostInterface })
        #expect(bridge.flags.contains(.up) && port.controller == bridge.index && port.flags.contains(.lowerUp))
        let link = try #require(try inside.links().first { $0.name.text == "eth2" })
        #expect(link.hardwareAddress == MACAddress("02:00:00:00:00:07") && link.flags.contains(.lowerUp))
        let address = try #require(try inside.addresses(interface: link.index).first { !$0.address.isIPv6 })
        #expect(address.address == IPAddress("10.9.0.2") && address.broadcast == IPv4Address("10.9.0.255"))
        let defaults = try inside.routes(RouteFilter(family: .v4)).filter { $0.destination.length == 0 }
        #expect(defaults.map(\.path.nextHop?.gateway) == [IPAddress("10.9.0.1")])

        #expect(ground.attacher.list().attachments == [status])
        await #expect(throws: AttachError.self, "the name is taken") {
            try await ground.attacher.attach(try ground.request("br7 -i eth2 W 10.9.0.3/24"))
        }
        _ = try await ground.attacher.detach(try ContainerReference(parsing: "netns:\(ground.container)"))
        #expect(try ground.changes(since: before).isEmpty)
        #expect(ground.records().isEmpty)
    }

    @Test func macvlanReachesItsNeighbour() async throws {
        let ground = try AttachGround()
        try AttachGround.run("ip", "-n", ground.host, "addr", "add", "10.9.1.1/24", "dev", "cable")
        let before = try ground.snapshot()
        _ = try await ground.attacher.attach(try ground.request("eth0 W 10.9.1.2/24"))
        try AttachGround.run("ip", "netns", "exec", ground.host, "ping", "-qc1", "-W5", "10.9.1.2")
        _ = try await ground.attacher.detach(try ContainerReference(parsing: ground.container), name: try name("eth1"))
        #expect(try ground.changes(since: before).isEmpty)
    }

    @Test func physicalComesBackAsItWas() async throws {
        let ground = try AttachGround()
        try AttachGround.run("ip", "-n", ground.host, "addr", "add", "10.9.1.1/24", "dev", "eth0")
        try AttachGround.run("ip", "-n", ground.host, "route", "add", "10.10.0.0/16", "via", "10.9.1.9")
        let before = try ground.snapshot()
        _ = try await ground.attacher.attach(
            try ground.request("--direct-phys eth0 -i lan W 10.9.1.5/24 02:00:00:00:00:55"))
        #expect(try !ground.network(ground.host).links().contains { $0.name.text == "eth0" })
        _ = try await ground.attacher.detach(try ContainerReference(parsing: ground.container))
        #expect(try ground.changes(since: before).isEmpty)
    }

    @Test func gatewayOutsideThePrefixAndIPv6() async throws {
        let ground = try AttachGround()
        let before = try ground.snapshot()
        var request = try ground.request("br7 W 10.9.0.2/32@10.8.0.1")
        request.addressing = .fixed([
            try FixedAddress(parsing: "10.9.0.2/32@10.8.0.1"), try FixedAddress(parsing: "fd00:9::2/64@fd00:9::1"),
        ])
        _ = try await ground.attacher.attach(request)
        let inside = try ground.network(ground.container)
        let routes = try inside.routes(RouteFilter(table: Route.mainTable))
        #expect(routes.contains { "\($0.destination)" == "10.8.0.1/32" })
        #expect(routes.filter { $0.destination.length == 0 && $0.type == .unicast }.count == 2)
        _ = try await ground.attacher.detach(try ContainerReference(parsing: ground.container))
        #expect(try ground.changes(since: before).isEmpty)
    }

    @Test func sharedBridgeGoesWithItsLastAttachment() async throws {
        let ground = try AttachGround()
        let before = try ground.snapshot()
        let reference = try ContainerReference(parsing: ground.container)
        _ = try await ground.attacher.attach(try ground.request("br7 W 0/0"))
        _ = try await ground.attacher.attach(try ground.request("br7 -i eth2 -l second W 0/0"))
        _ = try await ground.attacher.detach(reference, name: try name("eth1"))
        #expect(try ground.network(ground.host).links().contains { $0.name.text == "br7" })
        _ = try await ground.attacher.detach(reference, name: try name("eth2"))
        #expect(try ground.changes(since: before).isEmpty)
        // In whatever order several go at once.
        for _ in 0..<6 {
            for (name, pair) in [("eth1", "one"), ("eth2", "two"), ("eth3", "three")] {
                _ = try await ground.attacher.attach(try ground.request("br7 -i \(name) -l \(pair) W 0/0"))
            }
            _ = try await ground.attacher.detach(reference)
            #expect(try ground.changes(since: before).isEmpty)
        }
        // An address of the operator's makes the bridge the operator's.
        _ = try await ground.attacher.attach(try ground.request("br7 W 0/0"))
        try AttachGround.run("ip", "-n", ground.host, "addr", "add", "10.9.0.254/24", "dev", "br7")
        _ = try await ground.attacher.detach(reference)
        #expect(try ground.network(ground.host).links().contains { $0.name.text == "br7" })
    }

    @Test func goneWithTheNamespaceAndBackAgain() async throws {
        let ground = try AttachGround()
        _ = try await ground.attacher.attach(try ground.request("br7 W 10.9.0.2/24", kept: true))
        let inode = try #require(ground.records().first?.target?.namespace)
        try AttachGround.run("ip", "netns", "del", ground.container)
        _ = try await ground.attacher.reconcile()
        #expect(try !ground.network(ground.host).links().contains { $0.name.text == "br7" })
        #expect(ground.attacher.list().attachments.map(\.state) == ["waiting"])
        try AttachGround.run("ip", "netns", "add", ground.container)
        _ = try await ground.attacher.reconcile()
        #expect(ground.attacher.list().attachments.map(\.state) == ["attached"])
        #expect(ground.records().first?.target?.namespace != nil && inode.inode != 0)
        let inside = try ground.network(ground.container)
        #expect(try inside.addresses().contains { $0.address == IPAddress("10.9.0.2") })
        #expect(try ground.network(ground.host).links().contains { $0.name.text == "br7" })
    }

    @Test(arguments: [["eth1", "eth2", "eth3"], ["eth3", "eth1", "eth2"], ["eth2", "eth3", "eth1"], []])
    func defaultRouteComesBackInWhateverOrder(_ order: [String]) async throws {
        let ground = try AttachGround()
        let before = try ground.snapshot()
        let reference = try ContainerReference(parsing: ground.container)
        for (number, name) in ["eth1", "eth2", "eth3"].enumerated() {
            var request = try ground.request("br7 -i \(name) -l pair\(number) W 0/0")
            request.addressing = .fixed([
                try FixedAddress(parsing: "10.9.\(number).2/24@10.9.\(number).1"),
                try FixedAddress(parsing: "fd00:\(number)::2/64@fd00:\(number)::1"),
            ])
            _ = try await ground.attacher.attach(request)
        }
        for each in order { _ = try await ground.attacher.detach(reference, name: try name(each)) }
        if order.isEmpty { _ = try await ground.attacher.detach(reference) }
        #expect(try ground.changes(since: before).isEmpty)
        #expect(ground.records().isEmpty)
    }

    @Test func severalNextHopsAreRefused() async throws {
        let ground = try AttachGround()
        try AttachGround.run(
            "ip", "-n", ground.container, "route", "replace", "default", "nexthop", "via", "192.0.2.1", "nexthop",
            "via",
            "192.0.2.3")
        let before = try ground.snapshot()
        let error = await #expect(throws: AttachError.self) {
            try await ground.attacher.attach(try ground.request("br7 W 10.9.0.2/24@10.9.0.1"))
        }
        #expect(error?.message.contains("several next hops") == true)
        #expect(try ground.changes(since: before).isEmpty)
    }

    @Test func physicalComesBackWithAGatewayOffItsPrefix() async throws {
        let ground = try AttachGround()
        try AttachGround.run("ip", "-n", ground.host, "route", "add", "10.8.0.1/32", "dev", "eth0")
        try AttachGround.run("ip", "-n", ground.host, "route", "add", "10.0.0.0/16", "via", "10.8.0.1", "dev", "eth0")
        let before = try ground.snapshot()
        _ = try await ground.attacher.attach(try ground.request("--direct-phys eth0 -i lan W 0/0"))
        _ = try await ground.attacher.detach(try ContainerReference(parsing: ground.container))
        #expect(try ground.changes(since: before).isEmpty)
    }

    @Test func anothersInterfaceOfTheNameStays() async throws {
        let ground = try AttachGround()
        _ = try await ground.attacher.attach(try ground.request("br7 -l pair W 0/0"))
        _ = try await ground.attacher.attach(try ground.request("eth0 -i mv W 0/0"))
        try AttachGround.run("ip", "-n", ground.host, "link", "del", "pair")
        try AttachGround.run("ip", "-n", ground.container, "link", "del", "mv")
        try AttachGround.run("ip", "-n", ground.host, "link", "add", "pair", "type", "veth", "peer", "name", "far")
        try AttachGround.run(
            "ip", "-n", ground.container, "link", "add", "mv", "link", "eth0", "type", "macvlan", "mode", "bridge")
        _ = try await ground.attacher.detach(try ContainerReference(parsing: ground.container))
        #expect(try ground.network(ground.host).links().contains { $0.name.text == "pair" })
        #expect(try ground.network(ground.container).links().contains { $0.name.text == "mv" })
    }

    @Test func keptFollowsNobodyElse() async throws {
        let ground = try AttachGround()
        var request = try ground.request("br7 W 0/0", kept: true)
        request.container = try ContainerReference(parsing: "pid:\(getpid())")
        let error = await #expect(throws: AttachError.self) { try await ground.attacher.attach(request) }
        #expect(error?.message.contains("--keep cannot follow") == true)

        // A container of another engine with the name of a namespace.
        _ = try await ground.attacher.attach(try ground.request("br7 W 0/0", kept: true))
        try AttachGround.run("ip", "netns", "del", ground.container)
        _ = try await ground.attacher.reconcile()
        var record = try #require(ground.records().first)
        #expect(record.state == .waiting)
        record.request.container.engine = nil
        record.target?.engine = .docker
        try ground.attacher.store.save(record)
        try AttachGround.run("ip", "netns", "add", ground.container)
        _ = try await ground.attacher.reconcile()
        #expect(ground.records().map(\.state) == [.waiting])
    }

    @Test func keptStaysWhenItCannotBeAttached() async throws {
        let ground = try AttachGround()
        _ = try await ground.attacher.attach(try ground.request("br7 W 0/0", kept: true))
        try AttachGround.run("ip", "netns", "del", ground.container)
        _ = try await ground.attacher.reconcile()
        try AttachGround.run("ip", "netns", "add", ground.container)
        let failing = ground.attacher { point throws(AttachError) in
            if point == .after(1) { throw AttachError("injected") }
        }
        let notes = try await failing.reconcile()
        #expect(notes.contains { $0.isFailure && $0.text.contains("injected") })
        #expect(ground.records().map(\.state) == [.waiting])
        _ = try await ground.attacher.reconcile()
        #expect(ground.records().map(\.state) == [.attached])
    }

    @Test func recordsAreJudged() async throws {
        let ground = try AttachGround()
        _ = try await ground.attacher.attach(try ground.request("br7 W 0/0"))
        let id = try #require(ground.records().first?.id)
        let path = "\(ground.directory)/\(id).json"
        let text = try TextFile.read(path)
        for (wrong, name) in [
            ("", "000000000001"), ("{}", "000000000002"), (text, "000000000003"),
            (text.replacing("\"version\" : 1", with: "\"version\" : 2"), id),
            (text.replacing("\"name\" : \"eth1\"", with: "\"name\" : \"e/1\""), id),
        ] {
            try StateFile.write(wrong, to: "\(ground.directory)/\(name).json")
            let (records, refused) = ground.attacher.store.load()
            #expect(refused.count == 1 && !records.contains { $0.id == name }, "\(wrong.prefix(80))")
            if name != id { unlink("\(ground.directory)/\(name).json") }
        }
        try StateFile.write(text, to: path)
        _ = try await ground.attacher.detach(try ContainerReference(parsing: ground.container))
    }

    private func name(_ text: String) throws -> InterfaceName { try #require(InterfaceName(text)) }
}
