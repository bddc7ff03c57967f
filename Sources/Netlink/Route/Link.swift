import IPNetwork
import LinuxSystem

/// A network interface (`RTM_NEWLINK`).
public struct Link: Hashable, Sendable {
    /// The kernel's number, positive, never used again in the namespace while it lives.
    public var index: Int32
    /// Unique in the namespace.
    public var name: InterfaceName
    /// The hardware type (`ARPHRD_*`): 1 Ethernet, 772 loopback, 65534 none (TUN).
    public var type: UInt16
    /// `IFF_*`.
    public var flags: LinkFlags
    /// Bytes.
    public var mtu: UInt32
    /// `nil` unless the kernel's address has six bytes.
    public var hardwareAddress: MACAddress?
    /// The bridge or bond that it belongs to, by index (`IFLA_MASTER`).
    public var controller: Int32?
    /// The interface it stands on, or the other end of a veth pair, by index (`IFLA_LINK`).
    public var lower: Int32?
    /// What became of the administrator's wish.
    public var operationalState: OperationalState
    /// `nil` for a physical interface.
    public var kind: LinkKind?
    /// Reported only.
    public var statistics: LinkStatistics?
    /// How the kernel makes IPv6 link-local addresses; `nil` when it does not say.
    public var addressGeneration: AddressGeneration?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// All fields as given; by default an Ethernet interface that is down.
    public init(
        index: Int32, name: InterfaceName, type: UInt16 = 1, flags: LinkFlags = [], mtu: UInt32 = 1500,
        hardwareAddress: MACAddress? = nil, controller: Int32? = nil, lower: Int32? = nil,
        operationalState: OperationalState = .unknown, kind: LinkKind? = nil, statistics: LinkStatistics? = nil,
        addressGeneration: AddressGeneration? = nil, otherAttributes: [Attribute] = []
    ) {
        self.index = index
        self.name = name
        self.type = type
        self.flags = flags
        self.mtu = mtu
        self.hardwareAddress = hardwareAddress
        self.controller = controller
        self.lower = lower
        self.operationalState = operationalState
        self.kind = kind
        self.statistics = statistics
        self.addressGeneration = addressGeneration
        self.otherAttributes = otherAttributes
    }

    /// RFC 2863's state of an interface (`IF_OPER_*`).
    public struct OperationalState: RawRepresentable, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt8
        /// Numbers without a name here are kept.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The driver does not say; usual for virtual interfaces that work.
        public static let unknown = OperationalState(rawValue: 0)
        /// A component is missing, usually hardware.
        public static let notPresent = OperationalState(rawValue: 1)
        /// Not able to pass packets.
        public static let down = OperationalState(rawValue: 2)
        /// An interface that it stands on is down.
        public static let lowerLayerDown = OperationalState(rawValue: 3)
        /// In a test mode: passes no packets.
        public static let testing = OperationalState(rawValue: 4)
        /// Waits for something outside, such as 802.1X.
        public static let dormant = OperationalState(rawValue: 5)
        /// Passes packets.
        public static let up = OperationalState(rawValue: 6)
    }

    /// How IPv6 link-local addresses are made (`IN6_ADDR_GEN_MODE_*`).
    public struct AddressGeneration: RawRepresentable, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt8
        /// Numbers without a name here are kept.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// From the hardware address.
        public static let eui64 = AddressGeneration(rawValue: 0)
        /// Not at all.
        public static let none = AddressGeneration(rawValue: 1)
        /// RFC 7217, from the configured secret.
        public static let stablePrivacy = AddressGeneration(rawValue: 2)
        /// RFC 7217, from a random secret.
        public static let random = AddressGeneration(rawValue: 3)
    }
}

/// An interface that is to be made. `nil` leaves the kernel's default.
public struct NewLink: Hashable, Sendable {
    /// Not in use in the namespace yet.
    public var name: InterfaceName
    /// Its type with the type's own values.
    public var kind: LinkKind
    /// Bytes.
    public var mtu: UInt32?
    /// Given at creation, the kernel marks it as set by the user, and udev leaves it alone.
    public var hardwareAddress: MACAddress?
    /// Whether it is set up at once.
    public var isUp: Bool
    /// The bridge or bond it is put into, by index.
    public var controller: Int32?
    /// The interface it stands on (`IFLA_LINK`), by index: for macvlan, vlan and the like, not for vxlan.
    public var lower: Int32?
    /// Where it is made; `nil` for the namespace of the socket.
    public var namespace: LinkNamespace?

    /// All fields as given; the interface stays down unless told.
    public init(
        name: InterfaceName, kind: LinkKind, mtu: UInt32? = nil, hardwareAddress: MACAddress? = nil,
        isUp: Bool = false, controller: Int32? = nil, lower: Int32? = nil,
        namespace: LinkNamespace? = nil
    ) {
        self.name = name
        self.kind = kind
        self.mtu = mtu
        self.hardwareAddress = hardwareAddress
        self.isUp = isUp
        self.controller = controller
        self.lower = lower
        self.namespace = namespace
    }
}

/// A change of a living interface. `nil` leaves a value as it is.
public struct LinkChange: Hashable, Sendable {
    /// Which interface.
    public var index: Int32
    /// A new name; older kernels refuse it while the interface is up.
    public var name: InterfaceName?
    /// Bytes.
    public var mtu: UInt32?
    /// A new address; some drivers refuse it while the interface is up.
    public var hardwareAddress: MACAddress?
    /// Sets it up or down.
    public var isUp: Bool?
    /// The bridge or bond it is put into, by index; 0 takes it out of the one it is in.
    public var controller: Int32?
    /// The kind's own values. What the kind cannot change is refused with EOPNOTSUPP.
    public var kind: LinkKind?
    /// The kernel takes it from a living interface only, not at creation: set it before `isUp`.
    public var addressGeneration: Link.AddressGeneration?
    /// Where it is moved.
    public var namespace: LinkNamespace?

    /// All fields as given; with the index alone nothing changes.
    public init(
        index: Int32, name: InterfaceName? = nil, mtu: UInt32? = nil, hardwareAddress: MACAddress? = nil,
        isUp: Bool? = nil, controller: Int32? = nil, kind: LinkKind? = nil,
        addressGeneration: Link.AddressGeneration? = nil, namespace: LinkNamespace? = nil
    ) {
        self.index = index
        self.name = name
        self.mtu = mtu
        self.hardwareAddress = hardwareAddress
        self.isUp = isUp
        self.controller = controller
        self.kind = kind
        self.addressGeneration = addressGeneration
        self.namespace = namespace
    }
}
