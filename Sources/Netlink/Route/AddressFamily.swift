import Glibc
import IPNetwork

/// The two families that addresses, routes and rules come in.
public enum AddressFamily: Hashable, Sendable, CaseIterable {
    case v4
    case v6

    /// `AF_INET` or `AF_INET6`.
    var number: UInt8 {
        switch self {
        case .v4: UInt8(AF_INET)
        case .v6: UInt8(AF_INET6)
        }
    }

    /// `nil` for any family but `AF_INET` and `AF_INET6`.
    init?(number: UInt8) {
        switch Int32(number) {
        case AF_INET: self = .v4
        case AF_INET6: self = .v6
        default: return nil
        }
    }

    /// The number of bits in an address.
    public var bitWidth: Int { self == .v4 ? 32 : 128 }
}

extension IPAddress {
    /// The address's family.
    public var family: AddressFamily { isIPv6 ? .v6 : .v4 }
}

extension IPPrefix {
    /// The prefix's family.
    public var family: AddressFamily { isIPv6 ? .v6 : .v4 }

    /// Every address of the family: `0.0.0.0/0` or `::/0`.
    public static func all(_ family: AddressFamily) -> IPPrefix {
        switch family {
        case .v4: .v4(IPv4Prefix(host: .any).widened)
        case .v6: .v6(IPv6Prefix(host: .any).widened)
        }
    }
}

extension Prefix {
    /// The prefix of length 0.
    fileprivate var widened: Self { Self(address, length: 0) ?? self }
}
