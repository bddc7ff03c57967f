import IPNetwork

/// What a lease is filed under: the subnet of each family that it leases. At least one is there.
///
/// Its text is the last component of flannel's registry key: `10.5.34.0-24`, or with IPv6
/// `10.5.34.0-24&fd00:10:5::-64` (flannel's `MakeSubnetKey`). An IPv6-only key is the IPv6 part alone. A stock flanneld
/// writes an empty IPv4 subnet before it, `0.0.0.0-0&fd00:10:5::-64`, which is read too.
public struct SubnetKey: Hashable, Sendable {
    /// `nil` for an IPv6-only key.
    public let ipv4: IPv4Prefix?
    /// `nil` for an IPv4-only key.
    public let ipv6: IPv6Prefix?
    /// The text names an empty IPv4 subnet: a stock flanneld's IPv6-only key. Another key than one without, of the same
    /// subnet.
    public let namesEmptyIPv4: Bool

    /// Whether the network holds them is not checked.
    public init(ipv4: IPv4Prefix, ipv6: IPv6Prefix? = nil) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        namesEmptyIPv4 = false
    }

    /// An IPv6-only key.
    public init(ipv6: IPv6Prefix, namesEmptyIPv4: Bool = false) {
        ipv4 = nil
        self.ipv6 = ipv6
        self.namesEmptyIPv4 = namesEmptyIPv4
    }

    /// A key of the subnets that there are; `nil` for none.
    public init?(of ipv4: IPv4Prefix?, _ ipv6: IPv6Prefix?) {
        guard ipv4 != nil || ipv6 != nil else { return nil }
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        namesEmptyIPv4 = false
    }

    /// Whether the two have an address in common.
    public func overlaps(_ other: SubnetKey) -> Bool {
        if let left = ipv4, let right = other.ipv4, left.overlaps(right) { return true }
        if let left = ipv6, let right = other.ipv6, left.overlaps(right) { return true }
        return false
    }
}

extension SubnetKey: LosslessStringConvertible {
    /// flannel's form, for registry keys: `10.5.34.0-24`.
    public var description: String {
        let first = ipv4.map { "\($0.address)-\($0.length)" } ?? (namesEmptyIPv4 ? Self.emptyIPv4 : nil)
        return [first, ipv6.map { "\($0.address)-\($0.length)" }].compactMap { $0 }.joined(separator: "&")
    }

    /// Parses the text of a registry key; `nil` for anything that flannel's `ParseSubnetKey` would not read back to the
    /// same subnet: host bits set, a length over 31 (IPv4) or 127 (IPv6), other characters.
    public init?(_ description: String) {
        guard let separator = description.utf8.firstIndex(of: UInt8(ascii: "&")) else {
            if let ipv4 = Self.prefix(description[...], IPv4Address.self) {
                self.init(ipv4: ipv4)
            } else if let ipv6 = Self.prefix(description[...], IPv6Address.self) {
                self.init(ipv6: ipv6)
            } else {
                return nil
            }
            return
        }
        let second = description.utf8.index(after: separator)
        if description[..<separator] == Self.emptyIPv4 {
            guard let ipv6 = Self.prefix(description[second...], IPv6Address.self) else { return nil }
            self.init(ipv6: ipv6, namesEmptyIPv4: true)
            return
        }
        guard
            let ipv4 = Self.prefix(description[..<separator], IPv4Address.self),
            let ipv6 = Self.prefix(description[second...], IPv6Address.self)
        else { return nil }
        self.init(ipv4: ipv4, ipv6: ipv6)
    }

    private static let emptyIPv4 = "0.0.0.0-0"

    private static func prefix<Address>(_ text: Substring, _: Address.Type) -> Prefix<Address>? {
        guard
            let dash = text.utf8.lastIndex(of: UInt8(ascii: "-")),
            let length = length(text[text.utf8.index(after: dash)...]), length < Address.bitWidth,
            let address = Address(String(text[..<dash])),
            let prefix = Prefix(address, length: length), prefix.address == address
        else { return nil }
        return prefix
    }

    /// A decimal without sign or leading zeros.
    private static func length(_ text: Substring) -> Int? {
        guard (1...3).contains(text.utf8.count), text == "0" || text.utf8.first != UInt8(ascii: "0") else { return nil }
        var value = 0
        for byte in text.utf8 {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return value
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
