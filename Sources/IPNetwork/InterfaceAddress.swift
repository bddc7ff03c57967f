/// An address as an interface holds it: the host bits kept, with the length of the prefix it is in (10.0.19.1/24).
public struct InterfaceAddress<Address: NetworkAddress>: Hashable, Sendable {
    /// With its host bits.
    public let address: Address
    private let storedLength: UInt8

    /// The length of the prefix, 0 to 32 or 128.
    public var prefixLength: Int { Int(storedLength) }

    /// `nil` when the length is outside 0 to the family's width.
    public init?(_ address: Address, prefixLength: Int) {
        guard (0...Address.bitWidth).contains(prefixLength) else { return nil }
        self.address = address
        storedLength = UInt8(prefixLength)
    }

    /// The block of addresses that the interface is in.
    public var prefix: Prefix<Address> {
        // The length was checked when this value was made, so the fallback is never taken.
        Prefix(address, length: prefixLength) ?? Prefix(host: address)
    }
}

/// For example 10.0.19.1/24.
public typealias IPv4InterfaceAddress = InterfaceAddress<IPv4Address>
/// For example fd00:10:5::1/64.
public typealias IPv6InterfaceAddress = InterfaceAddress<IPv6Address>

extension InterfaceAddress: LosslessStringConvertible {
    /// `ADDRESS/LENGTH`, host bits kept.
    public var description: String { "\(address)/\(prefixLength)" }

    /// Parses `ADDRESS/LENGTH` and keeps the host bits.
    public init?(_ description: String) {
        guard let (address, length) = Address.parseWithLength(description) else { return nil }
        self.init(address, prefixLength: length)
    }
}

extension InterfaceAddress: Comparable {
    /// By address, then the shorter prefix first.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.address, lhs.storedLength) < (rhs.address, rhs.storedLength)
    }
}
