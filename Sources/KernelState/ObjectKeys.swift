import IPNetwork
import LinuxSystem

/// An address on an interface.
public struct AddressKey: Hashable, Sendable {
    /// The interface that holds it.
    public var interface: InterfaceName
    /// IPv4 or IPv6.
    public var address: IPAddress
    /// 0 to 32 or 128.
    public var prefixLength: Int

    /// All fields as given; the length is not checked.
    public init(interface: InterfaceName, address: IPAddress, prefixLength: Int) {
        self.interface = interface
        self.address = address
        self.prefixLength = prefixLength
    }
}

/// What makes a route one and not another in the kernel's main table: destination and metric.
public struct RouteKey: Hashable, Sendable {
    /// 0.0.0.0/0 or ::/0 for a default route.
    public var destination: IPPrefix
    /// Lower wins. IPv6 knows no 0: the kernel makes 1024 of it (`IP6_RT_PRIO_USER`), and so does this key.
    public let metric: UInt32

    /// A metric of 0 becomes 1024 for IPv6.
    public init(destination: IPPrefix, metric: UInt32 = 0) {
        self.destination = destination
        self.metric = destination.isIPv6 && metric == 0 ? 1024 : metric
    }
}

extension RouteKey {
    /// Of a route that gives way to another for the same block with the usual metric of IPv4, which is 0: a stock flanneld
    /// that finds Weft's route in the place of its own takes it for that.
    public static func yielding(_ destination: IPPrefix) -> RouteKey {
        RouteKey(destination: destination, metric: yieldingMetric)
    }
    private static let yieldingMetric: UInt32 = 1024

    /// The key of a route that gives way to this one; `nil` where this is such a one itself.
    public var yielding: RouteKey? { metric == 0 ? .yielding(destination) : nil }

    /// Of a route that drops packets: its metric leaves the way to any other, such as that of a container engine's bridge
    /// for the same block.
    public static func blackhole(_ destination: IPPrefix) -> RouteKey {
        RouteKey(destination: destination, metric: UInt32.max - 1)
    }
}

/// Where a route leads.
public struct RouteSpec: Hashable, Sendable {
    /// Where packets leave.
    public var interface: InterfaceName
    /// The next hop; `nil` when the destination is on the link itself.
    public var gateway: IPAddress?
    /// Take the gateway as reachable on the link though no address of the interface covers it.
    public var onlink: Bool

    /// All fields as given.
    public init(interface: InterfaceName, gateway: IPAddress?, onlink: Bool = false) {
        self.interface = interface
        self.gateway = gateway
        self.onlink = onlink
    }
}

/// A permanent neighbour entry: which address, on which interface. Its value is the MAC address.
public struct NeighbourKey: Hashable, Sendable {
    /// The interface that the neighbour is on.
    public var interface: InterfaceName
    /// The neighbour's IP address.
    public var address: IPAddress

    /// All fields as given.
    public init(interface: InterfaceName, address: IPAddress) {
        self.interface = interface
        self.address = address
    }
}

/// A permanent forwarding entry of a VXLAN interface: which MAC, on which interface. Its value is the host that the MAC
/// is behind.
public struct FDBKey: Hashable, Sendable {
    /// The VXLAN interface.
    public var interface: InterfaceName
    /// The inner destination.
    public var mac: MACAddress

    /// All fields as given.
    public init(interface: InterfaceName, mac: MACAddress) {
        self.interface = interface
        self.mac = mac
    }
}

extension AddressKey: CustomStringConvertible {
    /// For the log, with the interface.
    public var description: String { "address \(address)/\(prefixLength) on \(interface)" }
}

extension RouteKey: CustomStringConvertible {
    /// For the log; the metric is left out.
    public var description: String { "route \(destination)" }
}

extension NeighbourKey: CustomStringConvertible {
    /// For the log, with the interface.
    public var description: String { "neighbour \(address) on \(interface)" }
}

extension FDBKey: CustomStringConvertible {
    /// For the log, with the interface.
    public var description: String { "FDB entry \(mac) on \(interface)" }
}
