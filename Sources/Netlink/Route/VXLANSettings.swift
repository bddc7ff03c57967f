import IPNetwork

/// What a VXLAN interface is told when it is made (`IFLA_VXLAN_*`). `nil` leaves the kernel's default in a request.
///
/// The kernel can change the local address and the group within their family, `lower`, `learning`, `ttl`, `tos`, the
/// flow label and the ageing of a living interface; anything else is refused with EOPNOTSUPP and needs a new interface.
public struct VXLANSettings: Hashable, Sendable {
    /// The VXLAN network identifier, 24 bits.
    public var vni: UInt32
    /// The UDP port packets are sent to and received on. The kernel's own default is 8472. In a change, 0 leaves it
    /// as it is, and any other value is refused, also the present one.
    public var port: UInt16
    /// The source address of the outer packets.
    public var local: IPAddress?
    /// The default destination, or multicast group, of the outer packets.
    public var group: IPAddress?
    /// The index of the interface the outer packets leave by.
    public var lower: Int32?
    /// Whether the source of a received packet becomes a forwarding entry.
    public var learning: Bool
    /// The Group Policy extension (`IFLA_VXLAN_GBP`). It is a flag that exists or not.
    public var gbp: Bool
    /// The time to live of the outer packets; 0 takes the inner one's for multicast, else the route's.
    public var ttl: UInt8?
    /// The type of service of the outer packets; 1 takes over the inner one.
    public var tos: UInt8?
    /// The flow label of IPv6 outer packets.
    public var flowLabel: UInt32?
    /// The lifetime of learnt entries, in seconds.
    public var ageing: UInt32?
    /// The greatest number of learnt entries; 0 for no limit.
    public var limit: UInt32?
    /// The range of UDP source ports.
    public var sourcePorts: ClosedRange<UInt16>?
    /// Answers ARP and neighbour solicitations from the own table.
    public var proxy: Bool?
    /// Routes packets to known MACs of the own table (route short circuit).
    public var routeShortCircuit: Bool?
    /// Reports unknown link-layer destinations over netlink.
    public var reportLinkMisses: Bool?
    /// Reports unknown network destinations over netlink.
    public var reportNetworkMisses: Bool?
    /// UDP checksums in IPv4 outer packets.
    public var udpChecksum: Bool?
    /// Sends IPv6 outer packets with a UDP checksum of zero.
    public var udpZeroChecksumIPv6Send: Bool?
    /// Accepts IPv6 outer packets with a UDP checksum of zero.
    public var udpZeroChecksumIPv6Receive: Bool?
    /// The destination is taken from metadata on each packet (collect metadata).
    public var external: Bool?
    /// `IFLA_VXLAN_DF`: 0 unset, 1 set, 2 as the inner packet.
    public var doNotFragment: UInt8?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// All fields as given; the kernel checks them.
    public init(
        vni: UInt32, port: UInt16, local: IPAddress? = nil, group: IPAddress? = nil, lower: Int32? = nil,
        learning: Bool = true, gbp: Bool = false, ttl: UInt8? = nil, tos: UInt8? = nil, udpChecksum: Bool? = nil,
        otherAttributes: [Attribute] = []
    ) {
        self.vni = vni
        self.port = port
        self.local = local
        self.group = group
        self.lower = lower
        self.learning = learning
        self.gbp = gbp
        self.ttl = ttl
        self.tos = tos
        self.udpChecksum = udpChecksum
        self.otherAttributes = otherAttributes
    }
}
