import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Testing

@Suite(.needsRoot) struct BatchKernelTests {
    /// A batch goes on past a failure, and each failure is tied to the request that caused it.
    @Test func failuresAreMatched() throws {
        let host = try TestNamespace()
        let interface = try host.makeVeth()
        let good = { (index: UInt32) in
            Route(
                destination: .v4(IPv4Prefix(host: IPv4Address(rawValue: 0x0a00_0000 + index))),
                path: .single(NextHop(interface: interface)))
        }
        var requests: [RouteRequest] = (0..<5000).map { .addRoute(good($0)) }
        let unreachable = Route(
            destination: try prefix("10.99.0.0/16"), path: .single(NextHop(gateway: try ip("203.0.113.1"))))
        requests[1234] = .addRoute(unreachable)
        requests[4999] = .addRoute(
            Route(destination: try prefix("10.98.0.0/16"), path: .nexthopObject(id: 5, resolved: nil)))
        let failures = try host.socket.execute(requests)
        try #require(failures.map(\.position) == [1234, 4999])
        #expect(failures.map(\.code) == [ENETUNREACH, EINVAL])
        #expect(failures[0].message == "Nexthop has invalid gateway")
        #expect(failures[0].request == .addRoute(unreachable))
        #expect(failures[0].description.contains("add route 10.99.0.0/16 via 203.0.113.1"))
        #expect(failures[1].message == "Nexthop id does not exist")
        #expect(try host.socket.routes(RouteFilter(family: .v4, table: Route.mainTable)).count == 4998)
    }

    /// Every request fails: the errors of a send fit into the receive buffer.
    @Test func tenThousandFailures() throws {
        let host = try TestNamespace()
        let requests = (0..<10_000).map { index in
            RouteRequest.deleteNeighbour(
                Neighbour(interface: 1, address: .v4(IPv4Address(rawValue: 0x0a00_0000 + UInt32(index)))))
        }
        let failures = try host.socket.execute(requests)
        #expect(failures.map(\.position) == Array(0..<10_000))
        #expect(failures.allSatisfy { $0.code == ENOENT })
    }

    @Test func attributeTooLong() throws {
        let host = try TestNamespace()
        var route = Route(destination: try prefix("10.0.0.0/8"), type: .blackhole, path: .none)
        let good = route
        route.otherAttributes = [Attribute(type: 99, value: [UInt8](repeating: 0, count: 70_000))]
        let failures = try host.socket.execute([.addRoute(route), .addRoute(good)])
        #expect(failures.map(\.position) == [0] && failures.first?.code == EMSGSIZE)
        #expect(
            try host.socket.routes(RouteFilter(family: .v4, table: Route.mainTable)).map(\.destination) == [
                good.destination
            ])
    }

    @Test func genericNetlink() throws {
        let socket = try GenericNetlinkSocket()
        let controller = try socket.family(named: "nlctrl")
        #expect(controller.id == 16 && controller.multicastGroups["notify"] != nil)
        let families = try socket.dump(GenericCommand(command: 3), of: controller)
        #expect(families.contains { $0.attributes.first(number: 2)?.string == "nlctrl" })
        let failure = #expect(throws: NetlinkError.self) { try socket.family(named: "no-such") }
        guard case .refused(let refusal) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(refusal.code == ENOENT && refusal.description.contains("no-such"))
        let failures = try socket.execute([GenericCommand(command: 200), GenericCommand(command: 3)], of: controller)
        #expect(failures.map(\.position) == [0, 1] || failures.map(\.position) == [0])
        #expect(failures.first?.refusal.code == EOPNOTSUPP)
    }

    @Test func missingNamespace() {
        #expect(throws: NetlinkError.self) {
            try NetlinkRouteSocket(namespace: NetworkNamespace(named: "nltest-no-such"))
        }
    }
}
