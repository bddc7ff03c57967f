/// An IPv4 address.
public struct IPv4Address: NetworkAddress {
    /// The address in host order: 10.0.0.1 is `0x0a000001`.
    public let rawValue: UInt32

    /// In host order.
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The four octets as written: `IPv4Address(10, 0, 0, 1)`.
    @inlinable public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Parses dotted decimal, four octets of 0 to 255 without leading zeros (RFC 6943, section 3.1.1, "strict").
    public init?(_ description: some StringProtocol) { self.init(text: description.utf8) }

    /// As for any string.
    public init?(_ description: String) { self.init(text: description.utf8) }

    private init?(text: some Sequence<UInt8>) {
        var value: UInt32 = 0
        var octet: UInt32 = 0
        var digits = 0
        var dots = 0
        for byte in text {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if digits > 0 && octet == 0 { return nil }
                octet = octet * 10 + UInt32(byte - UInt8(ascii: "0"))
                digits += 1
                if octet > 255 { return nil }
            case UInt8(ascii: "."):
                guard digits > 0, dots < 3 else { return nil }
                value = value << 8 | octet
                octet = 0
                digits = 0
                dots += 1
            default:
                return nil
            }
        }
        guard digits > 0, dots == 3 else { return nil }
        rawValue = value << 8 | octet
    }

    /// Dotted decimal.
    public var description: String {
        "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
    }

    /// 0.0.0.0
    public static let any = IPv4Address(rawValue: 0)
    /// 127.0.0.1
    public static let loopback = IPv4Address(127, 0, 0, 1)

    /// In 127.0.0.0/8 (RFC 1122, section 3.2.1.3).
    public var isLoopback: Bool { rawValue >> 24 == 127 }
    /// In 169.254.0.0/16 (RFC 3927).
    public var isLinkLocal: Bool { rawValue >> 16 == 0xa9fe }
    /// In 224.0.0.0/4 (RFC 5771).
    public var isMulticast: Bool { rawValue >> 28 == 0xe }
    /// In 240.0.0.0/4, the limited broadcast address included (RFC 1112, section 4).
    public var isReserved: Bool { rawValue >> 28 == 0xf }
    /// In 0.0.0.0/8, "this network" (RFC 1122, section 3.2.1.3).
    public var isThisNetwork: Bool { rawValue >> 24 == 0 }

    /// Whether a host can be reached at this address from another host: not loopback, link-local, multicast, reserved
    /// or in "this network".
    public var isUsableHostAddress: Bool {
        !(isLoopback || isLinkLocal || isMulticast || isReserved || isThisNetwork)
    }
}
