import IPNetwork

/// A UDP port on which the kernel takes the UDP header off and hands on what is in it (`FOU_ATTR_*` in linux/fou.h).
public struct FOUPort: Hashable, Sendable {
    /// The outer packets' family. An IPv6 port takes IPv6 alone.
    public var family: AddressFamily
    /// The UDP port.
    public var port: UInt16
    /// What a datagram holds (`IPPROTO_*`): 4 for IPv4, 41 for IPv6. For GUE of no account.
    public var innerProtocol: UInt8
    /// Whether a GUE header precedes it; without, the datagram's payload is the inner packet (`FOU_ENCAP_*`).
    public var isGUE: Bool
    /// The one address of this host that it listens on; `nil` for all.
    public var local: IPAddress?
    /// The one peer that it takes packets from; `nil` for all.
    public var peer: IPAddress?
    /// The one port of the peer; 0 for all.
    public var peerPort: UInt16
    /// The one interface, by index, that it listens on; 0 for all.
    public var interface: Int32
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// All fields as given; on every address, for everyone, unless told.
    public init(
        family: AddressFamily, port: UInt16, innerProtocol: UInt8, isGUE: Bool = false, local: IPAddress? = nil,
        peer: IPAddress? = nil, peerPort: UInt16 = 0, interface: Int32 = 0, otherAttributes: [Attribute] = []
    ) {
        self.family = family
        self.port = port
        self.innerProtocol = innerProtocol
        self.isGUE = isGUE
        self.local = local
        self.peer = peer
        self.peerPort = peerPort
        self.interface = interface
        self.otherAttributes = otherAttributes
    }
}

extension FOUPort: CustomStringConvertible {
    /// As `ip fou` shows it.
    public var description: String {
        "port \(port)\(isGUE ? " gue" : " ipproto \(innerProtocol)")\(family == .v6 ? " -6" : "")"
    }
}

/// A change of the kernel's FOU ports.
public enum FOURequest: Hashable, Sendable {
    /// EADDRINUSE, or EALREADY, when the port is taken, be it by a socket or by another FOU port.
    case add(FOUPort)
    /// EINVAL when there is none.
    case delete(FOUPort)
}

extension FOURequest: CustomStringConvertible {
    /// For example `add FOU port 8285 ipproto 4`.
    public var description: String {
        switch self {
        case .add(let port): "add FOU \(port)"
        case .delete(let port): "delete FOU \(port)"
        }
    }
}

/// The FOU ports of one namespace, read and changed: the kernel's, or a stand-in for tests.
public protocol FOUNetlink: Sendable {
    /// - Returns: `nil` when the kernel has no FOU: the module `fou` is not there, or not loaded.
    func fouPorts() throws(NetlinkError) -> [FOUPort]?
    /// - Throws: ``NetlinkError/refused(_:)`` with the kernel's answer, EOPNOTSUPP when it has no FOU.
    func execute(_ request: FOURequest) throws(NetlinkError)
}
