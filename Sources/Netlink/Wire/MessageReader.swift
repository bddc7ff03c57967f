import CLinux
import IPNetwork

// Reading is done on RawSpan, which cannot outlive the receive buffer; every access goes through `load`.

/// The type field of an attribute.
struct AttributeType {
    /// As it came, flag bits included.
    let rawValue: UInt16

    /// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`, in the type that Swift gives to the kernel's enumerations.
    var number: Int { Int(rawValue & 0x3fff) }
}

extension RawSpan {
    /// The one place where memory is reinterpreted.
    func load<Value: WireValue & BitwiseCopyable>(_ type: Value.Type = Value.self, at offset: Int = 0)
        throws(MalformedMessage)
        -> Value
    {
        let size = MemoryLayout<Value>.size
        guard offset >= 0, size <= byteCount, offset <= byteCount - size else {
            throw MalformedMessage(.truncated(offset: offset, needed: size, available: byteCount))
        }
        return unsafeLoadUnaligned(fromByteOffset: offset, as: type)
    }

    /// An integer in network order.
    func bigEndian<Value: FixedWidthInteger & WireValue & BitwiseCopyable>(
        _ type: Value.Type = Value.self, at offset: Int = 0
    )
        throws(MalformedMessage) -> Value
    {
        Value(bigEndian: try load(type, at: offset))
    }

    func bool() throws(MalformedMessage) -> Bool { try load(UInt8.self) != 0 }

    /// An address of the family that its size tells.
    func address() throws(MalformedMessage) -> IPAddress {
        switch byteCount {
        case 4: .v4(IPv4Address(rawValue: try bigEndian()))
        case 16: .v6(IPv6Address(rawValue: try bigEndian()))
        default: throw MalformedMessage(.badValue("address of \(byteCount) bytes"))
        }
    }

    /// An address that must be of `family`.
    func address(_ family: AddressFamily) throws(MalformedMessage) -> IPAddress {
        let address = try address()
        guard address.family == family else {
            throw MalformedMessage(.badValue("address \(address), of the other family than its message"))
        }
        return address
    }

    func prefix(_ family: AddressFamily, length: UInt8) throws(MalformedMessage) -> IPPrefix {
        guard let prefix = IPPrefix(try address(family), length: Int(length)) else {
            throw MalformedMessage(.badValue("prefix length \(length)"))
        }
        return prefix
    }

    /// `nil` unless there are six bytes.
    func macAddress() -> MACAddress? {
        guard
            byteCount == 6, let high = try? bigEndian(UInt16.self), let low = try? bigEndian(UInt32.self, at: 2)
        else { return nil }
        return MACAddress(rawValue: UInt64(high) << 32 | UInt64(low))
    }

    /// The bytes up to the first zero; what is no UTF-8 is replaced by U+FFFD.
    func string() -> String {
        withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    func bytes() -> [UInt8] { withUnsafeBytes { Array($0) } }

    /// Two 16-bit numbers in network order, a first and a last one.
    func bigEndianRange() throws(MalformedMessage) -> ClosedRange<UInt16> {
        try Self.range(bigEndian(UInt16.self), bigEndian(UInt16.self, at: 2))
    }

    /// Two 16-bit numbers in host order, a first and a last one.
    func range() throws(MalformedMessage) -> ClosedRange<UInt16> {
        try Self.range(load(UInt16.self), load(UInt16.self, at: 2))
    }

    private static func range(_ first: UInt16, _ last: UInt16) throws(MalformedMessage) -> ClosedRange<UInt16> {
        guard first <= last else { throw MalformedMessage(.badValue("range \(first) to \(last)")) }
        return first...last
    }

    /// Calls `body` with each attribute, from `offset` on, rounded up to 4.
    func forEachAttribute(
        from offset: Int = 0, _ body: (AttributeType, RawSpan) throws(MalformedMessage) -> Void
    ) throws(MalformedMessage) {
        var offset = (offset + 3) & ~3
        while offset < byteCount {
            let length = Int(try load(UInt16.self, at: offset))
            let type = try load(UInt16.self, at: offset + 2)
            guard length >= 4 else { throw MalformedMessage(.badLength(offset: offset, length: length)) }
            guard length <= byteCount - offset else {
                throw MalformedMessage(.truncated(offset: offset, needed: length, available: byteCount))
            }
            try body(AttributeType(rawValue: type), extracting(offset + 4..<offset + length))
            offset += (length + 3) & ~3
        }
    }

    /// The nested attributes as values.
    func attributes() throws(MalformedMessage) -> [Attribute] {
        var attributes: [Attribute] = []
        try forEachAttribute { type, value throws(MalformedMessage) in attributes.append(Attribute(type, value)) }
        return attributes
    }

    /// Calls `body` with the header and the payload of each message of a datagram.
    func forEachMessage(
        _ body: (nlmsghdr, RawSpan) throws(MalformedMessage) -> Void
    ) throws(MalformedMessage) {
        let headerSize = MemoryLayout<nlmsghdr>.size
        var offset = 0
        while offset < byteCount {
            let header = try load(nlmsghdr.self, at: offset)
            guard header.nlmsg_len >= UInt32(headerSize) else {
                throw MalformedMessage(.badLength(offset: offset, length: Int(header.nlmsg_len)))
            }
            let length = Int(header.nlmsg_len)
            guard length <= byteCount - offset else {
                throw MalformedMessage(.truncated(offset: offset, needed: length, available: byteCount))
            }
            try body(header, extracting(offset + headerSize..<offset + length))
            offset += (length + 3) & ~3
        }
    }
}

extension Attribute {
    init(_ type: AttributeType, _ value: RawSpan) { self.init(type: type.rawValue, value: value.bytes()) }
}
