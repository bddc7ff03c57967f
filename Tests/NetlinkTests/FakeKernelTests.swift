import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import NetlinkTesting
import Testing

/// The stand-in does what the kernel tests show Linux to do.
@Suite struct FakeKernelTests {
    let kernel = FakeKernel()
    let wan: Int32
    let vxlan: Int32
    let mac = MACAddress(rawValue: 0x8e01_0203_0405)

    init() throws {
        let wanName = try #require(InterfaceName("wan"))
        wan = try #require(kernel.makeLink(NewLink(name: wanName, kind: .veth(peer: nil), isUp: true)))
        kernel.change(.addAddress(Address(interface: wan, address: ip("192.0.2.1"), prefixLength: 24)))
        let settings = VXLANSettings(vni: 1, port: 8472, local: ip("192.0.2.1"), lower: wan, learning: false)
        let name = try #require(InterfaceName("flat.1"))
        #expect(try kernel.execute([.createLink(NewLink(name: name, kind: .vxlan(settings), isUp: true))]).isEmpty)
        vxlan = try #require(try kernel.links().first { $0.name == name }).index
    }

    func peer(_ number: UInt8) -> [RouteRequest] {
        let gateway = IPAddress.v4(IPv4Address(10, 5, number, 0))
        return [
            .replaceNeighbour(Neighbour(interface: vxlan, address: gateway, linkLayer: mac)),
            .replaceForwardingEntry(ForwardingEntry(interface: vxlan, mac: mac, destination: ip("192.0.2.9"))),
            .replaceRoute(
                Route(
                    destination: IPPrefix(gateway, length: 24) ?? .all(.v4),
                    path: .single(NextHop(gateway: gateway, interface: vxlan, onlink: true)))),
        ]
    }

    @Test func anAddressBringsItsRoutes() throws {
        let routes = try kernel.routes(RouteFilter(family: .v4, interface: wan))
        #expect(
            routes.map(\.destination) == [prefix("192.0.2.0/24"), prefix("192.0.2.1/32"), prefix("192.0.2.255/32")])
        #expect(routes.map(\.type) == [.unicast, .local, .broadcast])
        #expect(try kernel.links().first { $0.index == vxlan }?.mtu == 1450)
    }

    @Test func downTakesWhatNeedsTheLink() throws {
        #expect(try kernel.execute(peer(34)).isEmpty)
        #expect(try kernel.routes(RouteFilter(family: .v4, interface: vxlan)).count == 1)
        kernel.change(.changeLink(LinkChange(index: vxlan, isUp: false)))
        #expect(try kernel.routes(RouteFilter(family: .v4, interface: vxlan)).isEmpty)
        #expect(try kernel.neighbours().isEmpty)
        #expect(try kernel.forwardingEntries().count == 1, "permanent entries stay")
        #expect(try kernel.execute(peer(34)).map(\.code) == [ENETDOWN])
    }

    @Test func deletionTakesEverything() throws {
        #expect(try kernel.execute(peer(34)).isEmpty)
        kernel.change(.deleteLink(index: wan))
        #expect(try kernel.links().map(\.index) == [FakeKernel.loopback], "the VXLAN goes with its lower interface")
        #expect(try kernel.routes().isEmpty && kernel.neighbours().isEmpty && kernel.forwardingEntries().isEmpty)
    }

    @Test func refusals() throws {
        let far = Route(destination: prefix("10.9.0.0/16"), path: .single(NextHop(gateway: ip("203.0.113.1"))))
        let near = Route(destination: prefix("10.9.0.0/16"), path: .single(NextHop(gateway: ip("192.0.2.7"))))
        let failures = try kernel.execute([
            .addRoute(far), .addRoute(near), .addRoute(near), .deleteRoute(near), .deleteRoute(near),
            .deleteLink(index: 99),
            .changeLink(LinkChange(index: vxlan, kind: .vxlan(VXLANSettings(vni: 1, port: 4789, learning: false)))),
            .deleteNeighbour(Neighbour(interface: vxlan, address: ip("10.0.0.1"))),
        ])
        #expect(failures.map(\.position) == [0, 2, 4, 5, 6, 7])
        #expect(failures.map(\.code) == [ENETUNREACH, EEXIST, ESRCH, ENODEV, EOPNOTSUPP, ENOENT])
    }

    @Test func nexthopObjectsTakeTheirRoutesAlong() throws {
        let object = NexthopObject(id: 7, interface: vxlan, gateway: ip("10.5.34.0"), onlink: true)
        let route = Route(destination: prefix("10.5.34.0/24"), path: .nexthopObject(id: 7, resolved: nil))
        #expect(try kernel.execute([.addRoute(route)]).map(\.code) == [EINVAL])
        #expect(try kernel.execute([.replaceNexthop(object), .addRoute(route)]).isEmpty)
        #expect(
            try kernel.routes(RouteFilter(family: .v4, interface: vxlan)).first?.path.nextHop?.gateway
                == ip("10.5.34.0"))
        kernel.change(.deleteNexthop(id: 7))
        #expect(try kernel.routes(RouteFilter(family: .v4, interface: vxlan)).isEmpty)
    }

    @Test func faults() throws {
        kernel.clearJournal()
        kernel.plan = FaultPlan([.init(.request(1), code: ENOBUFS), .init(.dump(.routes), code: EINTR)])
        #expect(try kernel.execute(peer(34)).map(\.position) == [1])
        #expect(try kernel.execute(peer(34)).isEmpty)
        #expect(kernel.journal.map(\.code) == [nil, ENOBUFS, nil, nil, nil, nil])
        #expect(throws: NetlinkError.dumpInterrupted(subject: "dump routes", attempts: 1)) { try kernel.routes() }
        #expect(try !kernel.routes().isEmpty)
        kernel.plan = FaultPlan([.init(.answers, code: 0)]) { kernel in kernel.change(.deleteNexthop(id: 1)) }
        #expect(throws: NetlinkError.answersLost) { try kernel.execute(peer(35)) }
        #expect(try kernel.routes().contains { $0.destination == prefix("10.5.35.0/24") })
        let picked = FaultPlan.Trigger.requestMatching { if case .replaceRoute = $0 { true } else { false } }
        kernel.plan = FaultPlan([.init(picked, code: EPERM, isLasting: true)])
        #expect(try kernel.execute(peer(34)).map(\.code) == [EPERM])
        #expect(try kernel.execute(peer(34)).map(\.code) == [EPERM])
    }

    @Test func eventsTellOfChanges() async throws {
        let events = kernel.events()
        #expect(try kernel.execute(peer(34)).isEmpty)
        #expect(try kernel.execute(peer(34)).isEmpty, "what is there already makes no event")
        kernel.change(.deleteLink(index: vxlan))
        kernel.loseEvents()
        kernel.finishEvents()
        var kinds: [String] = []
        for await event in events {
            switch event {
            case .neighbourChanged: kinds.append("+neighbour")
            case .neighbourRemoved: kinds.append("-neighbour")
            case .forwardingEntryChanged: kinds.append("+entry")
            case .forwardingEntryRemoved: kinds.append("-entry")
            case .routeChanged: kinds.append("+route")
            case .routeRemoved(let route): if !route.destination.isIPv6 { kinds.append("-route") }
            case .linkRemoved: kinds.append("-link")
            case .resync: kinds.append("resync")
            // IPv6's own.
            case .addressRemoved: break
            default: kinds.append("\(event)")
            }
        }
        // No word about the IPv4 route: Linux has none either.
        #expect(kinds == ["+neighbour", "+entry", "+route", "-neighbour", "-entry", "-link", "resync"])
    }
}
