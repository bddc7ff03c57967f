import CLinux
import Glibc
import IPNetwork
import LinuxSystem
import Testing

@testable import Netlink

/// FOU ports and the tunnels that use them, as iproute2 6.1 and Linux 6.1 exchanged them on an amd64 host (captured with
/// `strace -e write=all -e read=all COMMAND`).
@Suite struct FOUTests {
    /// The attributes of a generic netlink message behind its two headers.
    private static func attributes(_ hexadecimal: String) throws -> [Attribute] {
        let bytes = Capture("", hexadecimal).bytes
        return try Attribute(type: 0, value: Array(bytes[20...])).nested()
    }

    private static let v4 = FOUPort(family: .v4, port: 8285, innerProtocol: 4)
    private static let v6 = FOUPort(family: .v6, port: 8285, innerProtocol: 41)

    /// `ip fou add port 8285 ipproto 4`
    private static let add4 =
        "3400000020000500c636066b00000000010100000600010020 5d0000 0500040001000000 0500020002000000 0500030004000000"
    /// `ip -6 fou add port 8285 ipproto 41`
    private static let add6 =
        "3400000020000500c736066b00000000010100000600010020 5d0000 0500040001000000 050002000a000000 0500030029000000"
    /// `ip fou del port 8285`
    private static let delete =
        "2c00000020000500c736066b00000000020100000600010020 5d0000 0500040001000000 0500020002000000"
    /// The two messages that `ip fou show` read.
    private static let shown6 = """
        6c000000200002000000000008010000030100000500020 00a000000 06000100205d0000 06000a0000000000 0500030029000000
        0500040001000000 08000b0000000000 140007000000000000000000 0000000000000000 140009000000000000000000
        0000000000000000
        """
    private static let shown4 = """
        5400000020000200000000000801000003010000050002000200000006000100205d0000 06000a0000000000 0500030004000000
        0500040001000000 08000b0000000000 0800060000000000 0800080000000000
        """

    @Test(arguments: [(v4, add4), (v6, add6)]) func portsAreAddedAsIproute2Does(_ port: FOUPort, _ capture: String)
        throws
    {
        let ours = FOURequest.add(port).command
        let theirs = try Self.attributes(capture)
        #expect(ours.command == 1 && Set(ours.attributes) == Set(theirs))
        #expect(try FOUPort(theirs) == port)
    }

    @Test func portsAreDeletedAsIproute2Does() throws {
        let ours = FOURequest.delete(Self.v4).command
        // iproute2 gives the type too, which the kernel does not look at.
        #expect(ours.command == 2)
        #expect(Set(ours.attributes) == Set(try Self.attributes(Self.delete).filter { $0.number != 4 }))
    }

    @Test(arguments: [(v4, shown4), (v6, shown6)]) func portsAreRead(_ port: FOUPort, _ capture: String) throws {
        #expect(try FOUPort(try Self.attributes(capture)) == port)
    }

    @Test func whatNarrowsAPortIsRead() throws {
        var narrow = Self.v4
        narrow.local = IPAddress("172.30.0.11")
        narrow.peer = IPAddress("172.30.0.12")
        narrow.peerPort = 9
        narrow.interface = 3
        narrow.isGUE = true
        #expect(try FOUPort(FOURequest.add(narrow).command.attributes) == narrow)
    }

    @Test func unknownAttributesAreKept() throws {
        let odd = Attribute(type: 77, value: [1])
        #expect(try FOUPort(FOURequest.add(Self.v4).command.attributes + [odd]).otherAttributes == [odd])
    }

    @Test(arguments: [
        ("no port", [Attribute(type: 2, value: [2])]),
        ("no family", [Attribute(type: 1, value: [0x20, 0x5d])]),
        ("another family", [Attribute(type: 1, value: [0x20, 0x5d]), Attribute(type: 2, value: [16])]),
        ("half a port", [Attribute(type: 1, value: [0x20]), Attribute(type: 2, value: [2])]),
        ("an empty family", [Attribute(type: 1, value: [0x20, 0x5d]), Attribute(type: 2, value: [])]),
        (
            "an address of 3 bytes",
            [
                Attribute(type: 1, value: [0x20, 0x5d]), Attribute(type: 2, value: [2]),
                Attribute(type: 6, value: [1, 2, 3]),
            ]
        ),
    ]) func isRefused(_ name: String, _ attributes: [Attribute]) {
        #expect(throws: MalformedMessage.self) { try FOUPort(attributes) }
    }

    @Test func everyTruncation() throws {
        let bytes = Capture("", Self.shown6).bytes
        for end in 0..<bytes.count {
            let attributes = try? Attribute(type: 0, value: Array(bytes[min(20, end)..<end])).nested()
            _ = try? FOUPort(attributes ?? [])
        }
    }

    // MARK: Tunnels

    /// `ip link add ti type ipip local 172.30.0.12 ttl 64 mode ipip encap fou encap-sport auto encap-dport 8285`
    private static let createIPIP = """
        9000000010000506c636066b000000000000000000000000000000000000000007000300746900006800120008000100697069705c000200
        050009000400000008000200ac1e000c05000a0001000000050005000000000005000400400000000800010000000000080014000000000006
        000f00010000000600100000000000060011000000000006001200205d0000
        """
    /// `ip link add name t6 type ip6tnl mode ip6ip6 local fd00:30::12 encaplimit none hoplimit 64 encap fou encap-sport auto
    /// encap-dport 8285`
    private static let createIP6TNL = """
        a800000010000506c736066b00000000000000000000000000000000000000000700030074360000800012000a000100697036746e6c0000
        70000200050009002900000014000200fd0000300000000000000000000000120500040040000000050006000400000008000700000000000800
        0800010000000800010000000000080014000000000006000f00010000000600100002000000060011000000000006001200205d0000
        """

    private static func kind(_ capture: String) throws -> LinkKind? {
        let bytes = Capture("", capture).bytes
        guard case .linkChanged(let link) = try NetlinkEvent.decode(datagram: bytes).first else { return nil }
        return link.kind
    }

    @Test func ipipIsReadAndWritten() throws {
        guard case .ipip(let read) = try Self.kind(Self.createIPIP) else {
            Issue.record("no ipip")
            return
        }
        #expect(read.local == IPAddress("172.30.0.12") && read.remote == nil && read.lower == nil)
        #expect(read.innerProtocol == 4 && read.ttl == 64 && read.tos == 0 && read.setsDoNotFragment == true)
        #expect(read.encapsulation == TunnelEncapsulation(type: .fou, destinationPort: 8285))
        #expect(try Self.again(.ipip(read)) == .ipip(read))
    }

    @Test func ip6tnlIsReadAndWritten() throws {
        guard case .ip6tnl(let read) = try Self.kind(Self.createIP6TNL) else {
            Issue.record("no ip6tnl")
            return
        }
        #expect(read.local == IPAddress("fd00:30::12") && read.remote == nil)
        #expect(read.innerProtocol == 41 && read.flags == IPTunnelSettings.ignoreEncapsulationLimit)
        #expect(
            read.encapsulation == TunnelEncapsulation(type: .fou, flags: .checksumIPv6, destinationPort: 8285))
        #expect(try Self.again(.ip6tnl(read)) == .ip6tnl(read))
    }

    @Test func aTunnelWithoutEncapsulationHasNone() throws {
        let plain = IPTunnelSettings(remote: IPAddress("192.0.2.1"), lower: 3, external: true)
        #expect(try Self.again(.ipip(plain)) == .ipip(plain))
        let none = Attribute(type: 15, UInt16(0))
        let link = LinkKind.ipip(IPTunnelSettings(otherAttributes: [none]))
        #expect(try Self.again(link) == .ipip(IPTunnelSettings()))
    }

    @Test(arguments: [createIPIP, createIP6TNL]) func everyTruncationOfATunnel(_ capture: String) {
        let bytes = Capture("", capture).bytes
        for end in 0..<bytes.count { _ = try? NetlinkEvent.decode(datagram: Array(bytes[..<end])) }
    }

    private static func again(_ kind: LinkKind) throws -> LinkKind? {
        let name = try #require(InterfaceName("t0"))
        let bytes = RouteRequest.createLink(NewLink(name: name, kind: kind)).encoded()
        guard case .linkChanged(let link) = try NetlinkEvent.decode(datagram: bytes).first else { return nil }
        return link.kind
    }

    @Test func refusalsNameTheRemedy() {
        #expect(
            KernelRefusal(code: EADDRINUSE, subject: "add FOU port 8285 ipproto 4").description.contains("ss -aunp"))
        #expect(
            KernelRefusal(code: EOPNOTSUPP, subject: "create ipip link flannel0").description.contains("modprobe ipip"))
        #expect(KernelRefusal(code: EINVAL, subject: "create ipip link flannel0").description.contains("modprobe fou"))
    }
}
