/// A 48-bit IEEE 802 hardware address.
public struct MACAddress: Hashable, Sendable {
    /// The address in the low 48 bits, the first octet on the wire highest.
    public let rawValue: UInt64

    /// Takes the low 48 bits of `rawValue`.
    public init(rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }

    /// An address from its octets in wire order, or `nil` unless there are six.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The six octets in wire order.
    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * $0)) } }

    /// A group address (IEEE 802, the I/G bit).
    public var isMulticast: Bool { rawValue >> 40 & 1 == 1 }
    /// Assigned by software and not by a vendor (IEEE 802, the U/L bit).
    public var isLocallyAdministered: Bool { rawValue >> 40 & 2 == 2 }
    /// `00:00:00:00:00:00`.
    public var isZero: Bool { rawValue == 0 }

    /// Whether an interface can hold it: neither a group address nor zero (`is_valid_ether_addr` in the kernel).
    public var isValidUnicast: Bool { !isMulticast && !isZero }
}

extension MACAddress: Comparable {
    /// By bytes, the first counting most.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension MACAddress: LosslessStringConvertible {
    /// Lower case, colons between: `8e:01:02:03:04:05`.
    public var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(17)
        for (index, byte) in bytes.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ":")) }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Parses six pairs of hexadecimal digits of either case, with colons or with dashes between all of them.
    public init?(_ description: String) {
        let text = Array(description.utf8)
        guard text.count == 17, text[2] == UInt8(ascii: ":") || text[2] == UInt8(ascii: "-") else { return nil }
        var value: UInt64 = 0
        for (index, byte) in text.enumerated() {
            if index % 3 == 2 {
                guard byte == text[2] else { return nil }
            } else {
                guard let digit = Self.hexDigit(byte) else { return nil }
                value = value << 4 | digit
            }
        }
        rawValue = value
    }

    private static func hexDigit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}
