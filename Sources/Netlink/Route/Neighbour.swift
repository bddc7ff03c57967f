import IPNetwork

/// How sure the kernel is of a neighbour (`NUD_*`).
public struct NeighbourState: OptionSet, Hashable, Sendable {
    /// As the kernel numbers them.
    public var rawValue: UInt16
    /// Bits without a name here are kept.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Being asked for the first time.
    public static let incomplete = NeighbourState(rawValue: 0x01)
    /// Confirmed lately.
    public static let reachable = NeighbourState(rawValue: 0x02)
    /// Not confirmed lately, used all the same.
    public static let stale = NeighbourState(rawValue: 0x04)
    /// Stale and in use: asked soon, unless something confirms it first.
    public static let delay = NeighbourState(rawValue: 0x08)
    /// Being asked again.
    public static let probe = NeighbourState(rawValue: 0x10)
    /// Gave no answer.
    public static let failed = NeighbourState(rawValue: 0x20)
    /// Needs no resolution.
    public static let noARP = NeighbourState(rawValue: 0x40)
    /// Set by hand, never expires.
    public static let permanent = NeighbourState(rawValue: 0x80)
}

/// `NTF_*`.
public struct NeighbourFlags: OptionSet, Hashable, Sendable {
    /// As the kernel numbers them.
    public var rawValue: UInt8
    /// Bits without a name here are kept.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// In a request: look the neighbour up now.
    public static let use = NeighbourFlags(rawValue: 0x01)
    /// The interface's own table (a VXLAN's, a card's).
    public static let `self` = NeighbourFlags(rawValue: 0x02)
    /// The table of the bridge that the interface is a port of (`NTF_MASTER`).
    public static let controller = NeighbourFlags(rawValue: 0x04)
    /// The host answers for it.
    public static let proxy = NeighbourFlags(rawValue: 0x08)
    /// Learnt by a control plane, not by the data path.
    public static let externallyLearnt = NeighbourFlags(rawValue: 0x10)
    /// Held by hardware.
    public static let offloaded = NeighbourFlags(rawValue: 0x20)
    /// Stays with its bridge port when the MAC is seen on another.
    public static let sticky = NeighbourFlags(rawValue: 0x40)
    /// IPv6: the neighbour is a router.
    public static let router = NeighbourFlags(rawValue: 0x80)
}

/// An IPv4 or IPv6 neighbour (`RTM_NEWNEIGH`).
public struct Neighbour: Hashable, Sendable {
    /// The index of the interface.
    public var interface: Int32
    /// The neighbour's IP address.
    public var address: IPAddress
    /// `nil` when not known, or not of six bytes.
    public var linkLayer: MACAddress?
    /// In a request, what the kernel takes it to be.
    public var state: NeighbourState
    /// `NTF_*`.
    public var flags: NeighbourFlags
    /// Who made it; kept by the kernel since Linux 5.2.
    public var proto: RouteProtocol?
    /// Attributes without a field here, as they came; the counters of `NDA_CACHEINFO` and `NDA_PROBES` are left out.
    public var otherAttributes: [Attribute]

    /// All fields as given; by default a permanent entry.
    public init(
        interface: Int32, address: IPAddress, linkLayer: MACAddress? = nil, state: NeighbourState = .permanent,
        flags: NeighbourFlags = [], proto: RouteProtocol? = nil, otherAttributes: [Attribute] = []
    ) {
        self.interface = interface
        self.address = address
        self.linkLayer = linkLayer
        self.state = state
        self.flags = flags
        self.proto = proto
        self.otherAttributes = otherAttributes
    }
}

extension Neighbour: CustomStringConvertible {
    /// For example `10.5.34.0 dev 7 lladdr 8e:01:02:03:04:05`.
    public var description: String {
        "\(address) dev \(interface)" + (linkLayer.map { " lladdr \($0)" } ?? "")
    }
}
