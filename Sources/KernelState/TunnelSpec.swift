import IPNetwork
import LinuxSystem

/// The userspace tunnel that should run in the daemon behind a TUN device; where it sends what is in
/// ``DesiredState/nextHops``.
public struct TunnelSpec: Hashable, Sendable {
    /// The TUN device.
    public var device: InterfaceName
    /// The addresses outside the tunnel that datagrams are sent from and received on: one of a family.
    public var endpoints: [IPAddress]
    /// The UDP port, here and at every peer.
    public var port: UInt16
    /// The device's address of each family.
    public var addresses: [IPAddress]
    /// This host's own subnets: what may come out of the tunnel.
    public var ownSubnets: [IPPrefix]
    /// A packet must come from a peer and from that peer's subnet.
    public var checksPeers: Bool

    /// All fields as given.
    public init(
        device: InterfaceName, endpoints: [IPAddress] = [], port: UInt16, addresses: [IPAddress] = [],
        ownSubnets: [IPPrefix] = [], checksPeers: Bool
    ) {
        self.device = device
        self.endpoints = endpoints
        self.port = port
        self.addresses = addresses
        self.ownSubnets = ownSubnets
        self.checksPeers = checksPeers
    }
}

extension TunnelSpec: CustomStringConvertible {
    /// On one line, as part of the state's text.
    public var description: String {
        "dev \(device) local \(endpoints.map(\.description).joined(separator: " ")) port \(port)"
            + (checksPeers ? "" : " unchecked")
    }
}
