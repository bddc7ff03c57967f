import IPNetwork

/// An address on an interface (`RTM_NEWADDR`).
public struct Address: Hashable, Sendable {
    /// The index of the interface.
    public var interface: Int32
    /// The host's own address.
    public var address: IPAddress
    /// 0 to 32 or 128.
    public var prefixLength: Int
    /// The other end of a point-to-point link; `nil` when there is none.
    public var peer: IPAddress?
    /// IPv4 only.
    public var broadcast: IPv4Address?
    /// IPv4 only: the interface's name, or it followed by a colon and more; at most 15 bytes.
    public var label: String?
    /// Where it is valid.
    public var scope: RouteScope
    /// `IFA_F_*`, reported and requested ones.
    public var flags: AddressFlags
    /// Seconds; `nil` for ever.
    public var validLifetime: UInt32?
    /// Seconds; `nil` for ever.
    public var preferredLifetime: UInt32?
    /// Who made it; the kernel reports it since Linux 5.18.
    public var proto: RouteProtocol?
    /// The metric of the route that the kernel makes for the prefix.
    public var routeMetric: UInt32?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// All fields as given; the kernel checks them.
    public init(
        interface: Int32, address: IPAddress, prefixLength: Int, peer: IPAddress? = nil,
        broadcast: IPv4Address? = nil, label: String? = nil, scope: RouteScope = .universe, flags: AddressFlags = [],
        validLifetime: UInt32? = nil, preferredLifetime: UInt32? = nil, proto: RouteProtocol? = nil,
        routeMetric: UInt32? = nil, otherAttributes: [Attribute] = []
    ) {
        self.interface = interface
        self.address = address
        self.prefixLength = prefixLength
        self.peer = peer
        self.broadcast = broadcast
        self.label = label
        self.scope = scope
        self.flags = flags
        self.validLifetime = validLifetime
        self.preferredLifetime = preferredLifetime
        self.proto = proto
        self.routeMetric = routeMetric
        self.otherAttributes = otherAttributes
    }

    /// The block that the address is in, the peer's where there is one; `nil` when the length is impossible.
    public var prefix: IPPrefix? { IPPrefix(peer ?? address, length: prefixLength) }
}

/// `IFA_F_*`.
public struct AddressFlags: OptionSet, Hashable, Sendable {
    /// As the kernel numbers them.
    public var rawValue: UInt32
    /// Bits without a name here are kept.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// IPv6: a privacy address (RFC 8981). IPv4: not the first of its prefix (`IFA_F_SECONDARY`).
    public static let temporary = AddressFlags(rawValue: 0x01)
    /// IPv6: usable without duplicate address detection.
    public static let noDuplicateDetection = AddressFlags(rawValue: 0x02)
    /// IPv6: in use while duplicate address detection is under way (RFC 4429).
    public static let optimistic = AddressFlags(rawValue: 0x04)
    /// Duplicate address detection found another holder.
    public static let duplicate = AddressFlags(rawValue: 0x08)
    /// IPv6: the home address of a mobile node (RFC 6275).
    public static let home = AddressFlags(rawValue: 0x10)
    /// Not for new connections: the preferred lifetime is over.
    public static let deprecated = AddressFlags(rawValue: 0x20)
    /// Duplicate address detection is under way.
    public static let tentative = AddressFlags(rawValue: 0x40)
    /// Has no lifetime.
    public static let permanent = AddressFlags(rawValue: 0x80)
    /// IPv6: the kernel makes temporary addresses after it.
    public static let manageTemporary = AddressFlags(rawValue: 0x100)
    /// The kernel makes no route for the prefix.
    public static let noPrefixRoute = AddressFlags(rawValue: 0x200)
    /// The kernel joins the multicast group that it is (`IFA_F_MCAUTOJOIN`).
    public static let multicastJoin = AddressFlags(rawValue: 0x400)
    /// IPv6: made as in RFC 7217 (`IFA_F_STABLE_PRIVACY`).
    public static let stablePrivacy = AddressFlags(rawValue: 0x800)
}

extension Address: CustomStringConvertible {
    /// For example `10.0.19.0/32 dev 7`.
    public var description: String {
        let other = peer.map { " peer \($0)" } ?? ""
        return "\(address)\(other)/\(prefixLength) dev \(interface)"
    }
}
