/// What happens to a packet that a route matches (`RTN_*`).
public struct RouteType: RawRepresentable, Hashable, Sendable {
    /// As the kernel numbers them.
    public var rawValue: UInt8
    /// Numbers without a name here are kept.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Not said.
    public static let unspecified = RouteType(rawValue: 0)
    /// Forwarded along the route's path.
    public static let unicast = RouteType(rawValue: 1)
    /// Delivered to this host.
    public static let local = RouteType(rawValue: 2)
    /// Taken as a broadcast, and sent as one.
    public static let broadcast = RouteType(rawValue: 3)
    /// Delivered to this host, as one of several that have the address.
    public static let anycast = RouteType(rawValue: 4)
    /// A multicast route.
    public static let multicast = RouteType(rawValue: 5)
    /// Dropped without a word.
    public static let blackhole = RouteType(rawValue: 6)
    /// Answered with ICMP "host unreachable".
    public static let unreachable = RouteType(rawValue: 7)
    /// Answered with ICMP "administratively prohibited".
    public static let prohibit = RouteType(rawValue: 8)
    /// Looked up again in the next table.
    public static let `throw` = RouteType(rawValue: 9)
}

extension RouteType: CustomStringConvertible {
    /// iproute2's word, or the number.
    public var description: String {
        let words = [
            "unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit",
            "throw",
        ]
        return Int(rawValue) < words.count ? words[Int(rawValue)] : "\(rawValue)"
    }
}
