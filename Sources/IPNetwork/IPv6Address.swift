/// An IPv6 address, without a zone.
public struct IPv6Address: NetworkAddress {
    // Two halves, since a stored UInt128 aligns every value that holds an address to 16 bytes: that wastes room, and
    // Swift 6.3's debug builds spill such values to stack slots of 8 and then trap in an aligned load.
    @usableFromInline let high: UInt64
    @usableFromInline let low: UInt64

    /// The address in host order: ::1 is 1.
    @inlinable public var rawValue: UInt128 { UInt128(high) << 64 | UInt128(low) }

    /// In host order.
    @inlinable public init(rawValue: UInt128) {
        high = UInt64(truncatingIfNeeded: rawValue >> 64)
        low = UInt64(truncatingIfNeeded: rawValue)
    }

    /// Parses the text forms of RFC 4291, section 2.2: full, with `::`, and with a dotted IPv4 tail. A zone
    /// (`%eth0`) is refused.
    public init?(_ description: some StringProtocol) {
        // At most 8 groups of 4 digits, 7 colons, or an IPv4 tail: 45 characters (INET6_ADDRSTRLEN - 1).
        guard description.utf8.count <= 45 else { return nil }
        let text = Array(description.utf8)
        let colon = UInt8(ascii: ":")
        var groups: [UInt16] = []
        var gap: Int?
        var index = 0
        if text.first == colon {
            guard text.count >= 2, text[1] == colon else { return nil }
            gap = 0
            index = 2
        }
        while index < text.count {
            var end = index
            while end < text.count && text[end] != colon { end += 1 }
            let group = text[index..<end]
            if end == text.count && group.contains(UInt8(ascii: ".")) {
                guard let tail = IPv4Address(String(decoding: group, as: UTF8.self)) else { return nil }
                groups.append(UInt16(truncatingIfNeeded: tail.rawValue >> 16))
                groups.append(UInt16(truncatingIfNeeded: tail.rawValue))
                index = end
                break
            }
            guard let value = Self.group(group) else { return nil }
            groups.append(value)
            index = end
            guard index < text.count else { break }
            index += 1
            guard index < text.count else { return nil }
            if text[index] == colon {
                guard gap == nil else { return nil }
                gap = groups.count
                index += 1
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        self.init(rawValue: groups.reduce(0) { $0 << 16 | UInt128($1) })
    }

    /// As for any string.
    public init?(_ description: String) { self.init(description[...]) }

    private static func group(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(text.count) else { return nil }
        var value: UInt16 = 0
        for byte in text {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt16(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt16(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt16(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }

    /// The canonical text of RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the
    /// first of equals) as `::`, and an IPv4-mapped address with a dotted tail (section 5).
    public var description: String {
        if isIPv4Mapped { return "::ffff:\(IPv4Address(rawValue: UInt32(truncatingIfNeeded: rawValue)))" }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: rawValue >> UInt128(112 - 16 * $0)) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8 && groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = end + 1
        }
        let hex = { (part: Range<Int>) in part.map { String(groups[$0], radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? hex(0..<8) : hex(0..<best.lowerBound) + "::" + hex(best.upperBound..<8)
    }

    /// ::
    public static let any = IPv6Address(rawValue: 0)
    /// ::1
    public static let loopback = IPv6Address(rawValue: 1)

    /// ::1 (RFC 4291, section 2.5.3).
    public var isLoopback: Bool { rawValue == 1 }
    /// :: (RFC 4291, section 2.5.2).
    public var isUnspecified: Bool { rawValue == 0 }
    /// In fe80::/10 (RFC 4291, section 2.5.6).
    public var isLinkLocal: Bool { rawValue >> 118 == 0x3fa }
    /// In ff00::/8 (RFC 4291, section 2.7).
    public var isMulticast: Bool { rawValue >> 120 == 0xff }
    /// In ::ffff:0:0/96 (RFC 4291, section 2.5.5.2).
    public var isIPv4Mapped: Bool { rawValue >> 32 == 0xffff }

    /// Whether a host can be reached at this address from another host without naming a link: not unspecified,
    /// loopback, link-local, multicast or IPv4-mapped.
    public var isUsableHostAddress: Bool {
        !(isUnspecified || isLoopback || isLinkLocal || isMulticast || isIPv4Mapped)
    }
}
