import IPNetwork
import LinuxSystem

/// An address on an interface.
public struct AddressKey: Hashable, Sendable {
    public var interface: InterfaceName
    public var address: IPAddress
    /// 0 to 32 or 128.
    public var prefixLength: Int

    public init(interface: InterfaceName, address: IPAddress, prefixLength: Int) {
        self.interface = interface
        self.address = address
        self.prefixLength = prefixLength
    }
}

/// What makes a route one and not another in the kernel's main table: destination and metric.
public struct RouteKey: Hashable, Sendable {
    public var destination: IPPrefix
    /// Lower wins. IPv6 knows no 0: the kernel makes 1024 of it (`IP6_RT_PRIO_USER`), and so does this key.
    public let metric: UInt32

    public init(destination: IPPrefix, metric: UInt32 = 0) {
        self.destination = destination
        self.metric = destination.isIPv6 && metric == 0 ? 1024 : metric
    }
}

/// Where a route leads.
public struct RouteSpec: Hashable, Sendable {
    public var interface: InterfaceName
    /// The next hop; `nil` when the destination is on the link itself.
    public var gateway: IPAddress?
    /// Take the gateway as reachable on the link though no address of the interface covers it.
    public var onlink: Bool

    public init(interface: InterfaceName, gateway: IPAddress?, onlink: Bool = false) {
        self.interface = interface
        self.gateway = gateway
        self.onlink = onlink
    }
}

/// A permanent neighbour entry: which address, on which interface. Its value is the MAC address.
public struct NeighbourKey: Hashable, Sendable {
    public var interface: InterfaceName
    public var address: IPAddress

    public init(interface: InterfaceName, address: IPAddress) {
        self.interface = interface
        self.address = address
    }
}

/// A permanent forwarding entry of a VXLAN interface: which MAC, on which interface. Its value is the host that the MAC
/// is behind.
public struct FDBKey: Hashable, Sendable {
    public var interface: InterfaceName
    public var mac: MACAddress

    public init(interface: InterfaceName, mac: MACAddress) {
        self.interface = interface
        self.mac = mac
    }
}

extension AddressKey: CustomStringConvertible {
    public var description: String { "address \(address)/\(prefixLength) on \(interface)" }
}

extension RouteKey: CustomStringConvertible {
    public var description: String { "route \(destination)" }
}

extension NeighbourKey: CustomStringConvertible {
    public var description: String { "neighbour \(address) on \(interface)" }
}

extension FDBKey: CustomStringConvertible {
    public var description: String { "FDB entry \(mac) on \(interface)" }
}
