import IPNetwork

/// What a lease is filed under: the subnet of each family that it leases. At least one is there.
///
/// Its text is the last component of flannel's registry key: `10.5.34.0-24`, or with IPv6
/// `10.5.34.0-24&fd00:10:5::-64` (flannel's `MakeSubnetKey`). An IPv6-only key is the IPv6 part alone, which a stock
/// flanneld ignores.
public struct SubnetKey: Hashable, Sendable {
    public let ipv4: IPv4Prefix?
    public let ipv6: IPv6Prefix?

    public init(ipv4: IPv4Prefix, ipv6: IPv6Prefix? = nil) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    public init(ipv6: IPv6Prefix) {
        ipv4 = nil
        self.ipv6 = ipv6
    }
}

extension SubnetKey: LosslessStringConvertible {
    public var description: String {
        [ipv4.map { "\($0.address)-\($0.length)" }, ipv6.map { "\($0.address)-\($0.length)" }]
            .compactMap { $0 }.joined(separator: "&")
    }

    /// Parses the text of a registry key; `nil` for anything that flannel's `ParseSubnetKey` would not read back to the
    /// same subnet: host bits set, a length outside the family's range, other characters.
    public init?(_ description: String) {
        let parts = description.split(separator: "&", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first else { return nil }
        if let ipv4 = Self.prefix(first, IPv4Address.self) {
            if parts.count == 1 {
                self.init(ipv4: ipv4)
            } else if let ipv6 = Self.prefix(parts[1], IPv6Address.self) {
                self.init(ipv4: ipv4, ipv6: ipv6)
            } else {
                return nil
            }
        } else if parts.count == 1, let ipv6 = Self.prefix(first, IPv6Address.self) {
            self.init(ipv6: ipv6)
        } else {
            return nil
        }
    }

    private static func prefix<Address>(_ text: Substring, _: Address.Type) -> Prefix<Address>? {
        guard let dash = text.utf8.lastIndex(of: UInt8(ascii: "-")) else { return nil }
        let address = String(text[..<dash])
        guard
            let prefix = Prefix<Address>("\(address)/\(text[text.utf8.index(after: dash)...])"),
            Address(address) == prefix.address
        else { return nil }
        return prefix
    }
}

extension SubnetKey: Comparable {
    /// Keys with IPv4 by their IPv4 subnet, the others after them.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        switch (lhs.ipv4, rhs.ipv4) {
        case (let left?, let right?) where left != right: left < right
        case (_?, nil): true
        case (nil, _?): false
        default:
            switch (lhs.ipv6, rhs.ipv6) {
            case (let left?, let right?): left < right
            case (nil, _?): true
            default: false
            }
        }
    }
}
