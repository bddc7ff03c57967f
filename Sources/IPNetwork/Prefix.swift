/// A block of addresses: a network address, its host bits always zero, and a length.
public struct Prefix<Address: NetworkAddress>: Hashable, Sendable {
    /// The lowest address of the block.
    public let address: Address
    @usableFromInline let storedLength: UInt8

    /// The number of leading bits that are fixed, 0 to 32 or 128.
    @inlinable public var length: Int { Int(storedLength) }

    /// The block of `length` fixed bits that holds `address`; its host bits are cleared. `nil` when the length is
    /// outside 0 to the family's width.
    @inlinable public init?(_ address: Address, length: Int) {
        guard (0...Address.bitWidth).contains(length) else { return nil }
        self.address = Address(rawValue: address.rawValue & Self.mask(length))
        storedLength = UInt8(length)
    }

    /// The block that holds just `address`: a /32 or /128.
    @inlinable public init(host address: Address) {
        self.address = address
        storedLength = UInt8(Address.bitWidth)
    }

    /// Every address of the family.
    @inlinable public static var all: Self { Self(unchecked: Address(rawValue: 0), length: 0) }

    @inlinable init(unchecked address: Address, length: Int) {
        self.address = address
        storedLength = UInt8(length)
    }

    @inlinable static func mask(_ length: Int) -> Address.RawValue {
        // A shift by the full width gives 0 for Swift's smart shifts, as a /0 needs.
        Address.RawValue.max << (Address.bitWidth - length)
    }

    /// The network mask: 255.255.255.0 for a /24.
    @inlinable public var mask: Address { Address(rawValue: Self.mask(length)) }
    /// The highest address of the block; for IPv4 the directed broadcast address.
    @inlinable public var lastAddress: Address { Address(rawValue: address.rawValue | ~Self.mask(length)) }

    /// Whether `other` is in the block, its first and last address included.
    @inlinable public func contains(_ other: Address) -> Bool {
        other.rawValue & Self.mask(length) == address.rawValue
    }

    /// Whether every address of `other` is in this block.
    @inlinable public func contains(_ other: Self) -> Bool {
        other.length >= length && contains(other.address)
    }

    /// Whether any address is in both blocks.
    @inlinable public func overlaps(_ other: Self) -> Bool {
        contains(other) || other.contains(self)
    }

    /// The block of the same length right after this one, or `nil` at the end of the address space.
    @inlinable public var next: Self? {
        let (value, overflow) = lastAddress.rawValue.addingReportingOverflow(1)
        return overflow ? nil : Self(unchecked: Address(rawValue: value), length: length)
    }

    /// The block of the same length right before this one, or `nil` at the start of the address space.
    @inlinable public var previous: Self? {
        guard address.rawValue > 0 else { return nil }
        return Self(Address(rawValue: address.rawValue - 1), length: length)
    }

    /// The blocks of a longer length that make up this one, lowest first; empty when `length` is shorter than this
    /// block's or over the family's width.
    public func subnets(length subnetLength: Int) -> some Sequence<Self> {
        let first = subnetLength >= length ? Self(address, length: subnetLength) : nil
        return sequence(state: first) { (upcoming: inout Self?) -> Self? in
            guard let current = upcoming, self.contains(current) else { return nil }
            upcoming = current.next
            return current
        }
    }

    /// The number of blocks of `subnetLength` in this one, or `nil` when `subnetLength` is shorter than this block's,
    /// over the family's width, or the count exceeds `Int.max`.
    @inlinable public func subnetCount(length subnetLength: Int) -> Int? {
        guard (length...Address.bitWidth).contains(subnetLength), subnetLength - length < Int.bitWidth - 1 else {
            return nil
        }
        return 1 << (subnetLength - length)
    }
}

/// For example 10.5.34.0/24.
public typealias IPv4Prefix = Prefix<IPv4Address>
/// For example fd00:10:5::/64.
public typealias IPv6Prefix = Prefix<IPv6Address>

extension Prefix: Comparable {
    /// By address, then the shorter prefix first.
    @inlinable public static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.address, lhs.storedLength) < (rhs.address, rhs.storedLength)
    }
}

extension Prefix: LosslessStringConvertible {
    /// `ADDRESS/LENGTH`.
    public var description: String { "\(address)/\(length)" }

    /// Parses `ADDRESS/LENGTH`; host bits are cleared, as Go's `net.ParseCIDR` does for the network it returns.
    public init?(_ description: String) {
        guard let (address, length) = Address.parseWithLength(description) else { return nil }
        self.init(address, length: length)
    }
}

extension NetworkAddress {
    /// Splits and parses `ADDRESS/LENGTH`, the length a plain decimal without sign or leading zeros.
    static func parseWithLength(_ text: String) -> (Self, Int)? {
        guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")) else { return nil }
        let digits = text[text.index(after: slash)...]
        guard
            (1...3).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            digits.utf8.count == 1 || digits.utf8.first != UInt8(ascii: "0"),
            let length = Int(digits), length <= bitWidth,
            let address = Self(String(text[..<slash]))
        else { return nil }
        return (address, length)
    }
}
