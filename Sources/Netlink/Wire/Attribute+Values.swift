import CLinux

extension Attribute {
    /// A number in host order.
    public init(type: UInt16, _ value: some FixedWidthInteger) {
        self.init(type: type, value: withUnsafeBytes(of: value) { Array($0) })
    }

    /// A string with its closing zero.
    public init(type: UInt16, string: String) { self.init(type: type, value: Array(string.utf8) + [0]) }

    /// Attributes in an attribute, marked as nested (`NLA_F_NESTED`).
    public init(type: UInt16, nested attributes: [Attribute]) {
        var writer = MessageWriter(capacity: 256)
        writer.attributes(attributes)
        self.init(type: type | UInt16(NLA_F_NESTED), value: writer.withBytes { Array($0) })
    }

    /// The number without flag bits.
    public var number: UInt16 { type & 0x3fff }

    /// The value as a number in host order.
    ///
    /// - Throws: ``MalformedMessage`` when the value has fewer bytes than the number.
    public func integer<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self
    ) throws(MalformedMessage) -> Value {
        let size = Value.bitWidth / 8
        guard value.count >= size else {
            throw MalformedMessage(.truncated(offset: 0, needed: size, available: value.count))
        }
        // From the last byte to the first where the host's low byte comes first, as netlink has the host's order.
        let bytes = Value(1).littleEndian == 1 ? Array(value[..<size].reversed()) : Array(value[..<size])
        return bytes.reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    /// The value as text, up to the first zero; what is no UTF-8 is replaced by U+FFFD.
    public var string: String { value.span.bytes.string() }

    /// The attributes in the value.
    public func nested() throws(MalformedMessage) -> [Attribute] { try value.span.bytes.attributes() }
}

extension Sequence<Attribute> {
    /// The first attribute with a number, flag bits aside.
    public func first(number: UInt16) -> Attribute? { first { $0.number == number } }
}
