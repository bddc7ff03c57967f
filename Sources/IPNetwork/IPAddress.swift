/// An address of either family, for the places where the kernel or a registry allows both.
public enum IPAddress: Hashable, Sendable {
    case v4(IPv4Address)
    case v6(IPv6Address)

    /// The address in network byte order: 4 or 16 bytes.
    public var bytes: [UInt8] {
        switch self {
        case .v4(let address): address.bytes
        case .v6(let address): address.bytes
        }
    }

    /// An address from its bytes in network order, or `nil` unless there are 4 or 16.
    public init?(bytes: some Collection<UInt8>) {
        if let address = IPv4Address(bytes: bytes) {
            self = .v4(address)
        } else if let address = IPv6Address(bytes: bytes) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// `nil` for IPv6.
    public var v4: IPv4Address? { if case .v4(let address) = self { address } else { nil } }
    /// `nil` for IPv4.
    public var v6: IPv6Address? { if case .v6(let address) = self { address } else { nil } }
    /// False for IPv4; an IPv4-mapped IPv6 address is IPv6.
    public var isIPv6: Bool { v6 != nil }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then by value.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        switch (lhs, rhs) {
        case (.v4(let left), .v4(let right)): left < right
        case (.v6(let left), .v6(let right)): left < right
        case (.v4, .v6): true
        case (.v6, .v4): false
        }
    }
}

extension IPAddress: LosslessStringConvertible {
    /// The family's own text form.
    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }

    /// Parses either family's text form.
    public init?(_ description: String) {
        if let address = IPv4Address(description) {
            self = .v4(address)
        } else if let address = IPv6Address(description) {
            self = .v6(address)
        } else {
            return nil
        }
    }
}

/// A prefix of either family.
public enum IPPrefix: Hashable, Sendable {
    case v4(IPv4Prefix)
    case v6(IPv6Prefix)

    /// The lowest address of the block.
    public var address: IPAddress {
        switch self {
        case .v4(let prefix): .v4(prefix.address)
        case .v6(let prefix): .v6(prefix.address)
        }
    }

    /// The number of fixed leading bits, 0 to 32 or 128.
    public var length: Int {
        switch self {
        case .v4(let prefix): prefix.length
        case .v6(let prefix): prefix.length
        }
    }

    /// `nil` when the length is outside 0 to the family's width.
    public init?(_ address: IPAddress, length: Int) {
        switch address {
        case .v4(let address):
            guard let prefix = IPv4Prefix(address, length: length) else { return nil }
            self = .v4(prefix)
        case .v6(let address):
            guard let prefix = IPv6Prefix(address, length: length) else { return nil }
            self = .v6(prefix)
        }
    }

    /// `nil` for IPv6.
    public var v4: IPv4Prefix? { if case .v4(let prefix) = self { prefix } else { nil } }
    /// `nil` for IPv4.
    public var v6: IPv6Prefix? { if case .v6(let prefix) = self { prefix } else { nil } }
    /// False for IPv4; an IPv4-mapped IPv6 address is IPv6.
    public var isIPv6: Bool { v6 != nil }

    /// Whether both are of one family and `address` is in the block.
    public func contains(_ address: IPAddress) -> Bool {
        switch (self, address) {
        case (.v4(let prefix), .v4(let address)): prefix.contains(address)
        case (.v6(let prefix), .v6(let address)): prefix.contains(address)
        default: false
        }
    }
}

extension IPPrefix: Comparable {
    /// IPv4 before IPv6, then by address and length.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.address, lhs.length) < (rhs.address, rhs.length)
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// `ADDRESS/LENGTH`.
    public var description: String {
        switch self {
        case .v4(let prefix): prefix.description
        case .v6(let prefix): prefix.description
        }
    }

    /// Parses either family's `ADDRESS/LENGTH`.
    public init?(_ description: String) {
        if let prefix = IPv4Prefix(description) {
            self = .v4(prefix)
        } else if let prefix = IPv6Prefix(description) {
            self = .v6(prefix)
        } else {
            return nil
        }
    }
}
