import CLinux

/// A VLAN sub-interface's own values (`IFLA_VLAN_*`); ``NewLink/lower`` is the interface that carries it.
public struct VLANSettings: Hashable, Sendable {
    /// The tag, 0 to 4094.
    public var id: UInt16
    /// The EtherType of the tag: 0x8100 (802.1Q) or 0x88a8 (802.1ad). `nil` leaves the kernel's, 0x8100.
    public var etherType: UInt16?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute] = []

    /// The rest stays with the kernel.
    public init(id: UInt16, etherType: UInt16? = nil) {
        self.id = id
        self.etherType = etherType
    }

    /// From `IFLA_INFO_DATA`.
    init(_ value: RawSpan) throws(MalformedMessage) {
        self.init(id: 0)
        try value.forEachAttribute { type, value throws(MalformedMessage) in
            switch type.number {
            case IFLA_VLAN_ID: id = try value.load()
            case IFLA_VLAN_PROTOCOL: etherType = try value.bigEndian()
            default: otherAttributes.append(Attribute(type, value))
            }
        }
    }

    func encode(to writer: inout MessageWriter) {
        writer.attribute(IFLA_VLAN_ID, id)
        if let etherType { writer.bigEndian(IFLA_VLAN_PROTOCOL, etherType) }
        writer.attributes(otherAttributes)
    }
}
