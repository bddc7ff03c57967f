import IPNetwork
import LinuxSystem

/// What a virtual interface is (`IFLA_LINKINFO`).
public enum LinkKind: Hashable, Sendable {
    case vxlan(VXLANSettings)
    /// One end of a pair. The kernel reports no peer here (its index is ``Link/lower``).
    case veth(peer: VethPeer?)
    case bridge(BridgeSettings)
    /// Reported only: rtnetlink cannot make one (EOPNOTSUPP); `/dev/net/tun` does.
    case tun(TunSettings)
    case vlan(VLANSettings)
    case macvlan(MACVLANSettings)
    case ipvlan(IPVLANSettings)
    /// IPv4 packets, or others, in IPv4 packets.
    case ipip(IPTunnelSettings)
    /// IPv6 packets, or others, in IPv6 packets.
    case ip6tnl(IPTunnelSettings)
    /// Any other kind, with its own attributes as they are.
    case other(name: String, data: [Attribute])

    /// The kernel's name of the kind.
    public var name: String {
        switch self {
        case .vxlan: "vxlan"
        case .veth: "veth"
        case .bridge: "bridge"
        case .tun: "tun"
        case .vlan: "vlan"
        case .macvlan: "macvlan"
        case .ipvlan: "ipvlan"
        case .ipip: "ipip"
        case .ip6tnl: "ip6tnl"
        case .other(let name, _): name
        }
    }
}

/// The other end of a veth pair that is to be made.
public struct VethPeer: Hashable, Sendable {
    /// `nil` lets the kernel choose: `veth0` and so on.
    public var name: InterfaceName?
    /// `nil` for a random one.
    public var hardwareAddress: MACAddress?
    /// Bytes.
    public var mtu: UInt32?
    /// Where the peer is made; `nil` for the namespace of the request.
    public var namespace: LinkNamespace?

    /// All fields as given.
    public init(
        name: InterfaceName? = nil, hardwareAddress: MACAddress? = nil, mtu: UInt32? = nil,
        namespace: LinkNamespace? = nil
    ) {
        self.name = name
        self.hardwareAddress = hardwareAddress
        self.mtu = mtu
        self.namespace = namespace
    }
}

/// A namespace that an interface is made in or moved to.
public enum LinkNamespace: Hashable, Sendable {
    /// The one a process is in (`IFLA_NET_NS_PID`).
    case process(Int32)
    /// The one an open file names (`IFLA_NET_NS_FD`); the caller keeps it open until the request is done.
    case descriptor(CInt)
}

/// A bridge's own values (`IFLA_BR_*`). `nil` leaves the kernel's in a request.
public struct BridgeSettings: Hashable, Sendable {
    /// Hundredths of a second.
    public var forwardDelay: UInt32?
    /// Hundredths of a second.
    public var helloTime: UInt32?
    /// Hundredths of a second.
    public var maxAge: UInt32?
    /// The lifetime of learnt entries, in hundredths of a second.
    public var ageingTime: UInt32?
    /// Whether the spanning tree protocol runs.
    public var spanningTree: Bool?
    /// The bridge's priority in the spanning tree, 0 to 65535; the lowest becomes the root.
    public var priority: UInt16?
    /// Whether frames are kept to their VLANs.
    public var vlanFiltering: Bool?
    /// Whether multicast goes only to ports that asked for it (IGMP and MLD snooping).
    public var multicastSnooping: Bool?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute] = []

    /// The rest stays with the kernel.
    public init(spanningTree: Bool? = nil, vlanFiltering: Bool? = nil, ageingTime: UInt32? = nil) {
        self.spanningTree = spanningTree
        self.vlanFiltering = vlanFiltering
        self.ageingTime = ageingTime
    }
}

/// A TUN or TAP device's own values (`IFLA_TUN_*`).
public struct TunSettings: Hashable, Sendable {
    /// `IFF_TUN` 1, packets; `IFF_TAP` 2, frames.
    public var type: UInt8 = 1
    /// Whether it carries packets and not frames.
    public var isTun: Bool { type == 1 }
    /// The user and group that may open the device.
    public var owner: UInt32?
    /// A group id; see `owner`.
    public var group: UInt32?
    /// Packets are preceded by flags and protocol (`!IFF_NO_PI`).
    public var packetInformation = false
    /// Packets are preceded by a `virtio_net_hdr` (`IFF_VNET_HDR`).
    public var virtualHeader = false
    /// Outlives the descriptor that made it.
    public var persistent = false
    /// Several descriptors share the device (`IFF_MULTI_QUEUE`).
    public var multiQueue = false
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute] = []

    /// A plain TUN device that goes with its descriptor.
    public init() {}
}
