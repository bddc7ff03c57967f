import IPNetwork
import KernelState
import LinuxSystem
import Netlink
import Testing

/// One family of a host: its overlay interface, its subnet, and its peers by number.
struct Side: Sendable, CustomTestStringConvertible {
    let overlay: InterfaceName
    let network: IPPrefix
    /// The subnet with this number begins here.
    let gateway: @Sendable (Int) -> IPAddress
    let subnetLength: Int
    /// The host with this number.
    let remote: @Sendable (Int) -> IPAddress
    let mtu: UInt32
    /// A network that is nobody's.
    let foreign: IPPrefix

    static let ipv4 = Side(
        overlay: InterfaceName("flannel.1")!, network: IPPrefix("10.5.0.0/16")!,
        gateway: { .v4(IPv4Address(rawValue: 0x0a05_0000 + UInt32($0) << 8)) }, subnetLength: 24,
        remote: { .v4(IPv4Address(rawValue: 0xac1e_0000 + UInt32($0))) }, mtu: 1450,
        foreign: IPPrefix("198.51.100.0/24")!)
    static let ipv6 = Side(
        overlay: InterfaceName("flannel-v6.1")!, network: IPPrefix("fd00:10:5::/48")!,
        gateway: { .v6(IPv6Address(rawValue: 0xfd00_0010_0005 << 80 + UInt128($0) << 64)) }, subnetLength: 64,
        remote: { .v6(IPv6Address(rawValue: 0xfd00_0172 << 96 + UInt128($0))) }, mtu: 1430,
        foreign: IPPrefix("2001:db8:9::/64")!)

    static let ownNumber = 19
    static let ownHost = 11

    var testDescription: String { overlay.text }
    var isIPv6: Bool { network.isIPv6 }
    var hostLength: Int { isIPv6 ? 128 : 32 }
    var ownSubnet: IPPrefix { subnet(Self.ownNumber) }
    /// The overlay interface's own.
    var ownAddress: IPAddress { gateway(Self.ownNumber) }
    /// A container engine's bridge has the first one after it.
    var bridgeAddress: IPAddress { isIPv6 ? IPAddress("fd00:10:5:13::1")! : IPAddress("10.5.19.1")! }
    var otherAddress: IPAddress { isIPv6 ? IPAddress("2001:db8::1")! : IPAddress("192.0.2.1")! }

    func subnet(_ number: Int) -> IPPrefix { IPPrefix(gateway(number), length: subnetLength)! }

    func uplinkAddress(_ interface: Int32) -> Address {
        Address(
            interface: interface, address: remote(Self.ownHost), prefixLength: isIPv6 ? 64 : 24,
            flags: isIPv6 ? .noDuplicateDetection : [])
    }

    func desired(peers: Range<Int>, mtu: UInt32? = nil, port: UInt16 = 8472) -> DesiredState {
        var state = DesiredState()
        state.links[overlay] = LinkSpec(
            name: overlay,
            kind: .vxlan(VXLANSpec(vni: 1, port: port, local: remote(Self.ownHost), lower: Bench.uplinkName)),
            mtu: mtu ?? self.mtu, mac: MACAddress("ee:04:0a:05:13:00")!)
        state.addresses.insert(AddressKey(interface: overlay, address: ownAddress, prefixLength: hostLength))
        state.blackholes = [ownSubnet]
        for number in peers { state.merge(peer(number)) }
        return state
    }

    func peer(_ number: Int, host: Int? = nil) -> DesiredState {
        var state = DesiredState()
        let mac = MACAddress(rawValue: 0x0200_0000_0000 + UInt64(host ?? number))
        state.routes[RouteKey(destination: subnet(number))] = RouteSpec(
            interface: overlay, gateway: gateway(number), onlink: true)
        state.neighbours[NeighbourKey(interface: overlay, address: gateway(number))] = mac
        state.fdb[FDBKey(interface: overlay, mac: mac)] = remote(host ?? number)
        return state
    }
}

extension [Side] {
    static let all: [[Side]] = [[.ipv4], [.ipv6], [.ipv4, .ipv6]]

    func desired(peers: Range<Int>, port: UInt16 = 8472) -> DesiredState {
        reduce(into: DesiredState()) { $0.merge($1.desired(peers: peers, port: port)) }
    }

    func peer(_ number: Int) -> DesiredState { reduce(into: DesiredState()) { $0.merge($1.peer(number)) } }

    var blackholes: DesiredState {
        var state = DesiredState()
        state.blackholes = Set(map(\.ownSubnet))
        return state
    }
}
