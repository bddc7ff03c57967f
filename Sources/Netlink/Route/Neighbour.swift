import IPNetwork

/// How sure the kernel is of a neighbour (`NUD_*`).
public struct NeighbourState: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let incomplete = NeighbourState(rawValue: 0x01)
    public static let reachable = NeighbourState(rawValue: 0x02)
    public static let stale = NeighbourState(rawValue: 0x04)
    public static let delay = NeighbourState(rawValue: 0x08)
    public static let probe = NeighbourState(rawValue: 0x10)
    public static let failed = NeighbourState(rawValue: 0x20)
    /// Needs no resolution.
    public static let noARP = NeighbourState(rawValue: 0x40)
    /// Set by hand, never expires.
    public static let permanent = NeighbourState(rawValue: 0x80)
}

/// `NTF_*`.
public struct NeighbourFlags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let use = NeighbourFlags(rawValue: 0x01)
    /// The interface's own table (a VXLAN's, a card's).
    public static let `self` = NeighbourFlags(rawValue: 0x02)
    /// The table of the bridge that the interface is a port of (`NTF_MASTER`).
    public static let controller = NeighbourFlags(rawValue: 0x04)
    /// The host answers for it.
    public static let proxy = NeighbourFlags(rawValue: 0x08)
    /// Learnt by a control plane, not by the data path.
    public static let externallyLearnt = NeighbourFlags(rawValue: 0x10)
    public static let offloaded = NeighbourFlags(rawValue: 0x20)
    public static let sticky = NeighbourFlags(rawValue: 0x40)
    public static let router = NeighbourFlags(rawValue: 0x80)
}

/// An IPv4 or IPv6 neighbour (`RTM_NEWNEIGH`).
public struct Neighbour: Hashable, Sendable {
    /// The index of the interface.
    public var interface: Int32
    public var address: IPAddress
    /// `nil` when not known, or not of six bytes.
    public var linkLayer: MACAddress?
    public var state: NeighbourState
    public var flags: NeighbourFlags
    /// Who made it; kept by the kernel since Linux 5.2.
    public var proto: RouteProtocol?
    /// Attributes without a field here, as they came; the counters of `NDA_CACHEINFO` and `NDA_PROBES` are left out.
    public var otherAttributes: [Attribute]

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
