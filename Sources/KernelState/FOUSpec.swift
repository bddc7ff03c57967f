import IPNetwork

/// The attributes of a tunnel interface over Foo-over-UDP that matter to Weft. The inner packets are of the family of the
/// outer ones, since a FOU port hands on one kind of packet alone.
public struct FOUTunnelSpec: Hashable, Sendable {
    /// The outer source address; its family makes the kind: `ipip`, or `ip6tnl`.
    public var local: IPAddress
    /// The UDP port that packets are sent to.
    public var port: UInt16
    /// Something else about it is not as Weft makes it, and can be changed on a living interface; never desired.
    public var isAltered: Bool

    /// All fields as given.
    public init(local: IPAddress, port: UInt16, isAltered: Bool = false) {
        self.local = local
        self.port = port
        self.isAltered = isAltered
    }
}

/// A FOU port by what the kernel tells it from others by.
public struct FOUPortKey: Hashable, Sendable {
    /// The family of the datagrams.
    public var isIPv6: Bool
    /// The UDP port.
    public var port: UInt16

    /// All fields as given.
    public init(isIPv6: Bool, port: UInt16) {
        self.isIPv6 = isIPv6
        self.port = port
    }
}

/// What becomes of a FOU port's datagrams.
public struct FOUPortSpec: Hashable, Sendable {
    /// What is in them (`IPPROTO_*`): 4 for an IPv4 packet, 41 for an IPv6 packet.
    public var innerProtocol: UInt8

    /// The protocol as given.
    public init(innerProtocol: UInt8) { self.innerProtocol = innerProtocol }

    /// Packets of the datagrams' own family.
    public static func sameFamily(_ key: FOUPortKey) -> FOUPortSpec { FOUPortSpec(innerProtocol: key.isIPv6 ? 41 : 4) }
}

extension FOUPortKey: CustomStringConvertible {
    /// For the log: `port 8285`, or `port 8285 -6`.
    public var description: String { "port \(port)\(isIPv6 ? " -6" : "")" }
}
