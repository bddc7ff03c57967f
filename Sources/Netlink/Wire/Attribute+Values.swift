import CLinux

extension Attribute {
    /// A number in host order.
    public init(type: UInt16, _ value: some FixedWidthInteger & BitwiseCopyable) {
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
    public func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self
    ) throws(MalformedMessage) -> Value {
        try value.span.bytes.load(type)
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
