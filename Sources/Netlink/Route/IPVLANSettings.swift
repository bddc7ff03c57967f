import CLinux

/// An ipvlan's own values (`IFLA_IPVLAN_*`): an interface with addresses of its own and the MAC of ``NewLink/lower``.
public struct IPVLANSettings: Hashable, Sendable {
    /// How it passes packets.
    public var mode: Mode
    /// `IPVLAN_F_*`: 1 private, 2 VEPA; `nil` leaves the kernel's, 0.
    public var flags: UInt16?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute] = []

    /// The rest stays with the kernel.
    public init(mode: Mode = .layer2, flags: UInt16? = nil) {
        self.mode = mode
        self.flags = flags
    }

    /// `IPVLAN_MODE_*`.
    public struct Mode: RawRepresentable, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt16
        /// Numbers without a name here are kept.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// As a switch.
        public static let layer2 = Mode(rawValue: 0)
        /// As a router, without broadcast and multicast.
        public static let layer3 = Mode(rawValue: 1)
        /// As a router, through the host's netfilter.
        public static let layer3Filtered = Mode(rawValue: 2)
    }

    /// From `IFLA_INFO_DATA`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        self.init()
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_IPVLAN_MODE: mode = Mode(rawValue: try value.load())
            case IFLA_IPVLAN_FLAGS: flags = try value.load()
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        writer.attribute(IFLA_IPVLAN_MODE, mode.rawValue)
        if let flags { writer.attribute(IFLA_IPVLAN_FLAGS, flags) }
        writer.attributes(otherAttributes)
    }
}
