/// An address of one IP family, backed by an unsigned integer of the family's width in host order.
///
/// The two conforming types, ``IPv4Address`` and ``IPv6Address``, share the arithmetic of prefixes through this
/// protocol, so that ``Prefix`` is written once.
public protocol NetworkAddress: Hashable, Comparable, Sendable, LosslessStringConvertible {
    /// `UInt32` for IPv4, `UInt128` for IPv6.
    associatedtype RawValue: FixedWidthInteger & UnsignedInteger & Sendable

    /// The address as an integer in host order: 10.0.0.1 is `0x0a000001`.
    var rawValue: RawValue { get }

    init(rawValue: RawValue)
}

extension NetworkAddress {
    /// The number of bits in an address of this family: 32 or 128.
    @inlinable public static var bitWidth: Int { RawValue.bitWidth }

    /// The address `offset` places further on, or `nil` past the end of the address space.
    @inlinable public func advanced(by offset: RawValue) -> Self? {
        let (sum, overflow) = rawValue.addingReportingOverflow(offset)
        return overflow ? nil : Self(rawValue: sum)
    }

    /// Numerically.
    @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }

    /// The address in network byte order: 4 or 16 bytes.
    @inlinable public var bytes: [UInt8] {
        withUnsafeBytes(of: rawValue.bigEndian) { Array($0) }
    }

    /// An address from its bytes in network order, or `nil` unless there are exactly 4 (IPv4) or 16 (IPv6).
    @inlinable public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == RawValue.bitWidth / 8 else { return nil }
        var value: RawValue = 0
        for byte in bytes { value = value << 8 | RawValue(byte) }
        self.init(rawValue: value)
    }
}
