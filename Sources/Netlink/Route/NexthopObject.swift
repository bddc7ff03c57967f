import IPNetwork

/// A next hop, or a group of them, that routes share by id (`RTM_NEWNEXTHOP`, Linux 5.3 and later).
public struct NexthopObject: Hashable, Sendable {
    /// The id that routes name; 1 and up.
    public var id: UInt32
    /// The family of the routes that use it; `nil` for a group.
    public var family: AddressFamily?
    /// The index of the interface.
    public var interface: Int32?
    /// `nil` when the destination is on the link, and for a group.
    public var gateway: IPAddress?
    /// Take the gateway as reachable on the link though no address of the interface covers it.
    public var onlink: Bool
    /// Who made it.
    public var proto: RouteProtocol
    /// Reported only.
    public var scope: RouteScope
    /// Drops what is sent to it.
    public var blackhole: Bool
    /// For forwarding entries of a VXLAN, not for routes.
    public var forwardingDatabase: Bool
    /// The members of a group; empty for a single next hop.
    public var group: [Member]
    /// How packets are encapsulated on this way.
    public var encapsulation: NextHop.Encapsulation?
    /// What the kernel says about it; ignored in requests.
    public var state: NextHop.State
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// - Parameter family: `nil` takes the gateway's, and IPv4 when there is no gateway and no group.
    public init(
        id: UInt32, family: AddressFamily? = nil, interface: Int32? = nil, gateway: IPAddress? = nil,
        onlink: Bool = false, proto: RouteProtocol = .unspecified, scope: RouteScope = .universe,
        blackhole: Bool = false, forwardingDatabase: Bool = false, group: [Member] = [],
        encapsulation: NextHop.Encapsulation? = nil, state: NextHop.State = [], otherAttributes: [Attribute] = []
    ) {
        self.id = id
        self.family = family ?? gateway?.family ?? (group.isEmpty ? .v4 : nil)
        self.interface = interface
        self.gateway = gateway
        self.onlink = onlink
        self.proto = proto
        self.scope = scope
        self.blackhole = blackhole
        self.forwardingDatabase = forwardingDatabase
        self.group = group
        self.encapsulation = encapsulation
        self.state = state
        self.otherAttributes = otherAttributes
    }

    /// One next hop of a group.
    public struct Member: Hashable, Sendable {
        /// A nexthop object that is there already.
        public var id: UInt32
        /// The share, 1 to 256.
        public var weight: UInt16

        /// An equal share unless told.
        public init(id: UInt32, weight: UInt16 = 1) {
            self.id = id
            self.weight = weight
        }
    }
}

extension NexthopObject: CustomStringConvertible {
    /// For example `id 7 via 10.5.34.0 dev 7 onlink`.
    public var description: String {
        var words = ["id \(id)"]
        if let gateway { words.append("via \(gateway)") }
        if let interface { words.append("dev \(interface)") }
        if onlink { words.append("onlink") }
        if blackhole { words.append("blackhole") }
        if !group.isEmpty { words.append("group " + group.map { "\($0.id)" }.joined(separator: "/")) }
        return words.joined(separator: " ")
    }
}
