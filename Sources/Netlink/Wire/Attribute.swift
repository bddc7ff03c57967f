/// One attribute of a netlink message as it is on the wire, for what this library does not give a type to.
public struct Attribute: Hashable, Sendable {
    /// The number, with the kernel's flag bits (`NLA_F_NESTED` 0x8000, `NLA_F_NET_BYTEORDER` 0x4000) as they came.
    public var type: UInt16
    /// The value without header and padding.
    public var value: [UInt8]

    /// The value without header and padding, which are added when it is written.
    public init(type: UInt16, value: [UInt8]) {
        self.type = type
        self.value = value
    }
}
