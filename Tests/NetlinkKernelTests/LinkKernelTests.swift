import Glibc
import IPNetwork
import Netlink
import Testing

import struct LinuxSystem.InterfaceName

@Suite(.needsRoot) struct LinkKernelTests {
    let host: TestNamespace

    init() throws { host = try TestNamespace() }

    @Test func nothingIsOnAnInterfaceThatIsGone() throws {
        let gone: Int32 = 4_711
        #expect(try host.socket.addresses(interface: gone).isEmpty)
        #expect(try host.socket.neighbours(interface: gone).isEmpty)
        #expect(try host.socket.forwardingEntries(interface: gone).isEmpty)
        #expect(try host.socket.routes(RouteFilter(interface: gone)).isEmpty)
    }

    @Test func vxlanRoundTrip() throws {
        let lower = try host.makeVeth()
        var settings = VXLANSettings(
            vni: 7, port: 8472, local: IPAddress("172.30.0.11"), lower: lower, learning: false, gbp: true)
        settings.ttl = 33
        settings.udpChecksum = false
        let mac = try #require(MACAddress("8e:01:02:03:04:05"))
        try host.apply(
            .createLink(
                NewLink(
                    name: try #require(InterfaceName("flat.7")), kind: .vxlan(settings), mtu: 1450,
                    hardwareAddress: mac)))
        let index = try #require(try host.link("flat.7")).index
        try host.apply(
            .changeLink(LinkChange(index: index, addressGeneration: Link.AddressGeneration.none)),
            .changeLink(LinkChange(index: index, isUp: true)))
        let link = try #require(try host.link("flat.7"))
        #expect(try !host.socket.addresses(interface: index).contains { $0.address.isIPv6 })
        #expect(link.mtu == 1450)
        #expect(link.hardwareAddress == mac)
        #expect(link.flags.contains([.up, .lowerUp]))
        #expect(link.addressGeneration == Link.AddressGeneration.none)
        #expect(link.statistics != nil)
        guard case .vxlan(let found) = link.kind else {
            Issue.record("\(String(describing: link.kind))")
            return
        }
        #expect(found.vni == 7 && found.port == 8472 && found.local == settings.local && found.lower == lower)
        #expect(!found.learning && found.gbp && found.ttl == 33 && found.udpChecksum == false)
    }

    @Test func vxlanChange() throws {
        var settings = VXLANSettings(vni: 7, port: 8472, local: IPAddress("172.30.0.11"), learning: false)
        let name = try #require(InterfaceName("flat.7"))
        try host.apply(.createLink(NewLink(name: name, kind: .vxlan(settings))))
        let index = try #require(try host.link("flat.7")).index
        let refused = try host.socket.execute([.changeLink(LinkChange(index: index, kind: .vxlan(settings)))])
        #expect(refused.first?.code == EOPNOTSUPP, "the port of a living interface")
        settings.port = 0
        settings.learning = true
        settings.local = IPAddress("172.30.0.12")
        try host.apply(.changeLink(LinkChange(index: index, kind: .vxlan(settings))))
        guard case .vxlan(let found) = try host.link("flat.7")?.kind else {
            Issue.record("no vxlan")
            return
        }
        #expect(found.learning && found.local == settings.local && found.port == 8472)
    }

    @Test func bridgeWithPort() throws {
        let port = try host.makeVeth()
        let name = try #require(InterfaceName("br0"))
        try host.apply(.createLink(NewLink(name: name, kind: .bridge(BridgeSettings(spanningTree: true)), isUp: true)))
        let bridge = try #require(try host.link("br0"))
        guard case .bridge(let settings) = bridge.kind else {
            Issue.record("no bridge")
            return
        }
        #expect(settings.spanningTree == true && settings.ageingTime == 30000)
        #expect(!settings.otherAttributes.isEmpty)
        try host.apply(.changeLink(LinkChange(index: port, controller: bridge.index)))
        #expect(try host.link("eth0")?.controller == bridge.index)
        try host.apply(.changeLink(LinkChange(index: port, controller: 0)))
        #expect(try host.link("eth0")?.controller == nil)
    }

    @Test func vethPeerInAnotherNamespace() throws {
        let other = try TestNamespace()
        let descriptor = open(other.namespace.path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let peer = VethPeer(
            name: InterfaceName("inside"), hardwareAddress: MACAddress("0a:00:00:00:00:07"), mtu: 1400,
            namespace: .descriptor(descriptor))
        try host.apply(
            .createLink(NewLink(name: try #require(InterfaceName("outside")), kind: .veth(peer: peer), mtu: 1400)))
        let inside = try #require(try other.link("inside"))
        #expect(inside.hardwareAddress == peer.hardwareAddress && inside.mtu == 1400)
        #expect(try host.link("outside")?.lower == inside.index)
        #expect(try host.link("outside")?.kind == .veth(peer: nil))
    }

    @Test func macvlanInAnotherNamespace() throws {
        let lower = try host.makeVeth()
        let other = try TestNamespace()
        let descriptor = open(other.namespace.path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        try host.apply(
            .createLink(
                NewLink(
                    name: try #require(InterfaceName("eth1")), kind: .macvlan(MACVLANSettings(mode: .bridge)),
                    lower: lower, namespace: .descriptor(descriptor))))
        let link = try #require(try other.link("eth1"))
        #expect(link.lower == lower)
        guard case .macvlan(let settings) = link.kind else {
            Issue.record("\(String(describing: link.kind))")
            return
        }
        #expect(settings.mode == .bridge)
    }

    @Test func tun() throws {
        try host.ip("tuntap add tap9 mode tap")
        guard case .tun(let settings) = try host.link("tap9")?.kind else {
            Issue.record("no tun")
            return
        }
        #expect(settings.type == 2 && settings.persistent)
    }

    @Test func changeAndDelete() throws {
        let index = try host.makeVeth()
        let mac = try #require(MACAddress("0a:00:00:00:00:01"))
        try host.apply(
            .changeLink(LinkChange(index: index, isUp: false)),
            .changeLink(LinkChange(index: index, name: InterfaceName("wan"), mtu: 1300, hardwareAddress: mac)))
        let link = try #require(try host.link("wan"))
        #expect(link.index == index && link.mtu == 1300 && link.hardwareAddress == mac && !link.flags.contains(.up))
        try host.apply(.deleteLink(index: index))
        #expect(try host.link("wan") == nil)
    }
}
