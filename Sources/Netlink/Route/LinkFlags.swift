/// The state of an interface (`IFF_*`, netdevice(7)).
public struct LinkFlags: OptionSet, Hashable, Sendable {
    /// As the kernel numbers them.
    public var rawValue: UInt32
    /// Bits without a name here are kept.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Set up by the administrator.
    public static let up = LinkFlags(rawValue: 1 << 0)
    /// Has a broadcast address.
    public static let broadcast = LinkFlags(rawValue: 1 << 1)
    /// Is the loopback interface.
    public static let loopback = LinkFlags(rawValue: 1 << 3)
    /// Has one other end (PPP, a tunnel).
    public static let pointToPoint = LinkFlags(rawValue: 1 << 4)
    /// Operational (RFC 2863).
    public static let running = LinkFlags(rawValue: 1 << 6)
    /// Neighbours are not looked for.
    public static let noARP = LinkFlags(rawValue: 1 << 7)
    /// Receives frames for others too.
    public static let promiscuous = LinkFlags(rawValue: 1 << 8)
    /// Receives every multicast frame.
    public static let allMulticast = LinkFlags(rawValue: 1 << 9)
    /// Is the controller of others (a bond).
    public static let controller = LinkFlags(rawValue: 1 << 10)
    /// Belongs to a controller (a bond's).
    public static let port = LinkFlags(rawValue: 1 << 11)
    /// Can send multicast.
    public static let multicast = LinkFlags(rawValue: 1 << 12)
    /// Has a carrier.
    public static let lowerUp = LinkFlags(rawValue: 1 << 16)
    /// Waits for something outside (RFC 2863).
    public static let dormant = LinkFlags(rawValue: 1 << 17)
}
