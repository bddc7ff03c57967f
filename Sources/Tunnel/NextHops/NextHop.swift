import IPNetwork

/// Where packets for a subnet go.
public struct NextHop: Hashable, Sendable {
    /// The subnet that the peer leases.
    public var prefix: IPPrefix
    /// The peer's address outside the tunnel.
    public var endpoint: IPAddress
    /// The peer's UDP port.
    public var port: UInt16

    /// All fields as given.
    public init(prefix: IPPrefix, endpoint: IPAddress, port: UInt16) {
        self.prefix = prefix
        self.endpoint = endpoint
        self.port = port
    }
}
