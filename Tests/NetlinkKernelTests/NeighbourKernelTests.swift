import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Testing

@Suite(.needsRoot) struct NeighbourKernelTests {
    let host: TestNamespace
    let vxlan: Int32

    init() throws {
        host = try TestNamespace()
        let name = try #require(InterfaceName("flat.1"))
        let settings = VXLANSettings(vni: 1, port: 8472, local: IPAddress("192.0.2.1"), learning: false)
        try host.apply(.createLink(NewLink(name: name, kind: .vxlan(settings), isUp: true)))
        vxlan = try #require(try host.link("flat.1")).index
    }

    @Test func neighbours() throws {
        let mac = try #require(MACAddress("8e:01:02:03:04:05"))
        let four = Neighbour(
            interface: vxlan, address: try ip("10.5.34.0"), linkLayer: mac, proto: RouteProtocol(rawValue: 84))
        let six = Neighbour(interface: vxlan, address: try ip("fd00::34"), linkLayer: mac, flags: .router)
        try host.apply(.replaceNeighbour(four), .replaceNeighbour(six))
        let found = try host.socket.neighbours(interface: vxlan)
        #expect(found.contains(four) && found.contains(six))
        #expect(try host.socket.neighbours(interface: 1).allSatisfy { $0.interface == 1 })
        var moved = four
        moved.linkLayer = MACAddress("8e:01:02:03:04:06")
        try host.apply(.replaceNeighbour(moved))
        #expect(try host.socket.neighbours().contains(moved))
        try host.apply(.deleteNeighbour(moved))
        // The kernel keeps a failed entry for as long as somebody refers to it.
        #expect(try !host.socket.neighbours().contains { $0.address == four.address && $0.state == .permanent })
        #expect(
            try host.socket.execute([.deleteNeighbour(Neighbour(interface: vxlan, address: try ip("10.9.9.9")))])
                .first?.code == ENOENT)
    }

    @Test func forwardingEntries() throws {
        let mac = try #require(MACAddress("8e:01:02:03:04:05"))
        let first = ForwardingEntry(interface: vxlan, mac: mac, destination: try ip("172.30.0.11"))
        let second = ForwardingEntry(
            interface: vxlan, mac: MACAddress(rawValue: 0), destination: try ip("172.30.0.12"), vni: 9, port: 4789)
        var third = second
        third.destination = try ip("172.30.0.13")
        try host.apply(.replaceForwardingEntry(first), .appendForwardingEntry(second), .appendForwardingEntry(third))
        let found = try host.socket.forwardingEntries(interface: vxlan)
        #expect(found.contains { $0.mac == mac && $0.destination == first.destination && $0.isSelf })
        #expect(found.filter { $0.mac.isZero }.map(\.destination) == [second.destination, third.destination])
        #expect(found.filter { $0.mac.isZero }.allSatisfy { $0.vni == 9 && $0.port == 4789 })
        var moved = first
        moved.destination = try ip("172.30.0.14")
        try host.apply(.replaceForwardingEntry(moved))
        let after = try host.socket.forwardingEntries(interface: vxlan).filter { $0.mac == mac }
        #expect(after.map(\.destination) == [moved.destination])
        try host.apply(.deleteForwardingEntry(moved), .deleteForwardingEntry(third))
        #expect(try host.socket.forwardingEntries(interface: vxlan).map(\.destination) == [second.destination])
    }

    @Test func bridgePort() throws {
        try host.ip("link add br0 type bridge")
        let port = try host.makeVeth()
        try host.ip("link set eth0 master br0")
        let bridge = try #require(try host.link("br0")).index
        let mac = try #require(MACAddress("0a:00:00:00:00:07"))
        let entry = ForwardingEntry(interface: port, mac: mac, state: .noARP, flags: .controller)
        try host.apply(.replaceForwardingEntry(entry))
        let found = try #require(try host.socket.forwardingEntries(interface: port).first { $0.mac == mac })
        #expect(found.isController && found.controller == bridge)
    }
}
