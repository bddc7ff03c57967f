import CLinux

/// A macvlan's own values (`IFLA_MACVLAN_*`): an interface with a MAC of its own on ``NewLink/lower``.
public struct MACVLANSettings: Hashable, Sendable {
    /// What it may talk to.
    public var mode: Mode
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute] = []

    /// The rest stays with the kernel.
    public init(mode: Mode = .bridge) { self.mode = mode }

    /// `MACVLAN_MODE_*`.
    public struct Mode: RawRepresentable, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt32
        /// Numbers without a name here are kept.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// To nothing else on the same lower interface.
        public static let `private` = Mode(rawValue: 1)
        /// To the others by way of an outside switch.
        public static let vepa = Mode(rawValue: 2)
        /// To the others directly.
        public static let bridge = Mode(rawValue: 4)
        /// The only one on the lower interface, whose MAC it takes.
        public static let passthrough = Mode(rawValue: 8)
        /// Frames of listed sources alone.
        public static let source = Mode(rawValue: 16)
    }

    /// From `IFLA_INFO_DATA`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        self.init(mode: Mode(rawValue: 0))
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_MACVLAN_MODE: mode = Mode(rawValue: try value.load())
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        writer.attribute(IFLA_MACVLAN_MODE, mode.rawValue)
        writer.attributes(otherAttributes)
    }
}
