import IPNetwork

/// What an IP-in-IP tunnel interface is told when it is made (`IFLA_IPTUN_*`, kinds `ipip` and `ip6tnl`).
///
/// A change puts the whole in the place of what was: what it leaves out gets the kernel's default.
public struct IPTunnelSettings: Hashable, Sendable {
    /// The source address of the outer packets; `nil` for any that a route gives.
    public var local: IPAddress?
    /// The destination of the outer packets; `nil` takes each route's gateway, and receives from anyone.
    public var remote: IPAddress?
    /// The index of the interface the outer packets leave by; `nil` for any.
    public var lower: Int32?
    /// The inner protocol (`IPPROTO_*`): 4 for IPv4, 41 for IPv6, 0 for all that the kind can carry.
    public var innerProtocol: UInt8?
    /// The time to live, or hop limit, of the outer packets; 0 takes over the inner one.
    public var ttl: UInt8?
    /// `ipip` alone: the type of service of the outer packets; 1 takes over the inner one.
    public var tos: UInt8?
    /// `ipip` alone: whether outer packets carry DF always; without, those whose inner packet does.
    public var setsDoNotFragment: Bool?
    /// `ip6tnl` alone: flags (`IP6_TNL_F_*`).
    public var flags: UInt32?
    /// What is between the outer IP header and the inner packet.
    public var encapsulation: TunnelEncapsulation?
    /// The destination is taken from metadata on each packet (collect metadata).
    public var external: Bool
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// No tunnel encapsulation limit in a destination options header (`IP6_TNL_F_IGN_ENCAP_LIMIT`).
    public static let ignoreEncapsulationLimit: UInt32 = 1

    /// All fields as given; the kernel checks them.
    public init(
        local: IPAddress? = nil, remote: IPAddress? = nil, lower: Int32? = nil, innerProtocol: UInt8? = nil,
        ttl: UInt8? = nil, tos: UInt8? = nil, setsDoNotFragment: Bool? = nil, flags: UInt32? = nil,
        encapsulation: TunnelEncapsulation? = nil, external: Bool = false, otherAttributes: [Attribute] = []
    ) {
        self.local = local
        self.remote = remote
        self.lower = lower
        self.innerProtocol = innerProtocol
        self.ttl = ttl
        self.tos = tos
        self.setsDoNotFragment = setsDoNotFragment
        self.flags = flags
        self.encapsulation = encapsulation
        self.external = external
        self.otherAttributes = otherAttributes
    }
}

/// A UDP header between the outer and the inner IP header of a tunnel (`IFLA_IPTUN_ENCAP_*`). The module `fou`, for IPv6
/// `fou6`, must be loaded: the kernel refuses a tunnel with EINVAL without.
public struct TunnelEncapsulation: Hashable, Sendable {
    /// `TUNNEL_ENCAP_*`.
    public var type: Kind
    /// What checksums there are.
    public var flags: Flags
    /// 0 has the kernel derive one from each inner flow.
    public var sourcePort: UInt16
    /// Where the other side takes packets.
    public var destinationPort: UInt16

    /// All fields as given.
    public init(type: Kind, flags: Flags = [], sourcePort: UInt16 = 0, destinationPort: UInt16) {
        self.type = type
        self.flags = flags
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
    }

    /// `TUNNEL_ENCAP_*`.
    public struct Kind: RawRepresentable, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt16
        /// Numbers without a name here are kept.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// None at all.
        public static let none = Kind(rawValue: 0)
        /// Foo-over-UDP: nothing between the UDP header and the inner packet.
        public static let fou = Kind(rawValue: 1)
        /// Generic UDP Encapsulation.
        public static let gue = Kind(rawValue: 2)
    }

    /// `TUNNEL_ENCAP_FLAG_*`.
    public struct Flags: OptionSet, Hashable, Sendable {
        /// As the kernel numbers them.
        public let rawValue: UInt16
        /// Any bits.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// A UDP checksum over IPv4; without, the field is zero.
        public static let checksum = Flags(rawValue: 1)
        /// A UDP checksum over IPv6; without, the field is zero, which sockets refuse.
        public static let checksumIPv6 = Flags(rawValue: 2)
        /// Remote checksum offload, of GUE alone.
        public static let remoteChecksum = Flags(rawValue: 4)
    }
}
