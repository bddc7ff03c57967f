import IPNetwork

/// Where frames for a MAC go: an entry of a bridge's or a VXLAN's forwarding database (`RTM_NEWNEIGH`, `AF_BRIDGE`).
public struct ForwardingEntry: Hashable, Sendable {
    /// The index of the interface: the VXLAN or the bridge port.
    public var interface: Int32
    /// All zeros is the VXLAN's default destination, which may be held several times.
    public var mac: MACAddress
    /// The remote VTEP.
    public var destination: IPAddress?
    /// The remote's VNI where it differs from the interface's.
    public var vni: UInt32?
    /// The remote's UDP port where it differs from the interface's.
    public var port: UInt16?
    /// The index of the interface that the outer packets leave by.
    public var via: Int32?
    /// The VLAN of a bridge's entry, 1 to 4094.
    public var vlan: UInt16?
    /// Permanent and without ARP for an entry that is not learnt.
    public var state: NeighbourState
    /// Whose table it is in, and how it is held there.
    public var flags: NeighbourFlags
    /// The bridge the port belongs to (`NDA_MASTER`).
    public var controller: Int32?
    /// The VNI that the entry belongs to, on a VXLAN that collects metadata.
    public var sourceVNI: UInt32?
    /// A nexthop object with the remotes.
    public var nexthop: UInt32?
    /// Attributes without a field here, as they came; the counters of `NDA_CACHEINFO` are left out.
    public var otherAttributes: [Attribute]

    /// All fields as given; by default a permanent entry of the interface's own table.
    public init(
        interface: Int32, mac: MACAddress, destination: IPAddress? = nil, vni: UInt32? = nil, port: UInt16? = nil,
        via: Int32? = nil, vlan: UInt16? = nil, state: NeighbourState = [.permanent, .noARP],
        flags: NeighbourFlags = .self, controller: Int32? = nil, sourceVNI: UInt32? = nil, nexthop: UInt32? = nil,
        otherAttributes: [Attribute] = []
    ) {
        self.interface = interface
        self.mac = mac
        self.destination = destination
        self.vni = vni
        self.port = port
        self.via = via
        self.vlan = vlan
        self.state = state
        self.flags = flags
        self.controller = controller
        self.sourceVNI = sourceVNI
        self.nexthop = nexthop
        self.otherAttributes = otherAttributes
    }

    /// In the interface's own table.
    public var isSelf: Bool { flags.contains(.self) }
    /// In the table of the bridge that the interface is a port of. Linux names the bridge then, without the flag.
    public var isController: Bool { flags.contains(.controller) || controller != nil }
}

extension ForwardingEntry: CustomStringConvertible {
    /// For example `8e:01:02:03:04:05 dev 7 dst 172.30.0.11`.
    public var description: String {
        "\(mac) dev \(interface)" + (destination.map { " dst \($0)" } ?? "")
    }
}
