import Backends
import IPNetwork
import Leases
import LinuxSystem
import Netlink
import Testing

@testable import WeftDaemon

@Suite struct FormerRoutesTests {
    private func find(_ change: (inout Route) -> Void = { _ in }) throws -> [String] {
        let config = try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","SubnetMax":"10.5.99.0","Backend":{"Type":"host-gw"}}"#.utf8))
        let host = HostFacts(
            interface: try #require(InterfaceName("eth0")), mtu: 1500,
            linkPrefixes: [try #require(IPPrefix("172.30.0.0/24"))])
        var route = Route(
            destination: try #require(IPPrefix("10.5.7.0/24")),
            path: .single(NextHop(gateway: IPAddress("172.30.0.99"), interface: 2)))
        change(&route)
        return FormerRoutes.find(
            [route], external: 2, host: host, config: config,
            leased: [try #require(SubnetKey("10.5.1.0-24")), try #require(SubnetKey("10.5.2.0-24"))])
    }

    @Test func routeWithoutALeaseIsNamed() throws {
        #expect(try find() == ["10.5.7.0/24 via 172.30.0.99"])
    }

    /// Anything that flannel would not have made, or that has its lease.
    @Test func othersAreNot() throws {
        let hop = { (gateway: String, interface: Int32) in
            RoutePath.single(NextHop(gateway: IPAddress(gateway), interface: interface))
        }
        #expect(try find { $0.proto = .static } == [])
        #expect(try find { $0.proto = RouteProtocol(rawValue: 119) } == [])
        #expect(try find { $0.table = 100 } == [])
        #expect(try find { $0.type = .blackhole } == [])
        #expect(try find { $0.tos = 8 } == [])
        #expect(try find { $0.path = hop("172.30.0.99", 3) } == [])
        #expect(try find { $0.path = hop("192.0.2.1", 2) } == [])
        #expect(try find { $0.path = .single(NextHop(gateway: nil, interface: 2)) } == [])
        for text in ["10.5.2.0/24", "10.5.7.0/25", "10.5.0.0/24", "10.5.100.0/24", "10.6.7.0/24", "0.0.0.0/0"] {
            let prefix = try #require(IPPrefix(text))
            #expect(try find { $0.destination = prefix } == [], "\(text)")
        }
    }
}
