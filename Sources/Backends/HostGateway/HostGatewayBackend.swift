import IPNetwork
import KernelState
import Leases
import LinuxSystem

/// Direct routes: each peer's subnet through its public address on the external interface. Peers must be on the same
/// link. As flannel's host-gw.
public struct HostGatewayBackend: Backend {
    /// flannel's name for it.
    public static let type = "host-gw"

    private let config: NetworkConfig
    private let host: HostFacts

    /// There are no options to read.
    ///
    /// - Throws: ``BackendError`` when the interface has no address of a family that the config turns on.
    public init(config: NetworkConfig, host: HostFacts) throws(BackendError) {
        // Without its own address the host would publish none, and have no link that peers are on.
        guard config.ipv4 == nil || host.publicIPv4 != nil else {
            throw .missingAddress(of: "IPv4", on: host.interface)
        }
        guard config.ipv6 == nil || host.publicIPv6 != nil else {
            throw .missingAddress(of: "IPv6", on: host.interface)
        }
        self.config = config
        self.host = host
    }

    /// The external interface's own, in bytes: nothing is added to a packet.
    public var mtu: UInt32 { host.mtu }
    /// None: the routes are on the external interface.
    public var ownInterfaces: Set<InterfaceName> { [] }

    /// The public addresses alone; peers need no more.
    public func attributes(for key: SubnetKey, existing: Lease?) -> LeaseAttributes {
        baseAttributes(host: host, config: config)
    }

    /// Empty: all there is depends on a peer.
    public func hostState(lease: Lease) -> DesiredState { DesiredState() }

    /// Adds a direct route for each family.
    ///
    /// - Throws: ``PeerRefusal`` also for a peer whose address is not on the external interface's link.
    public func addPeer(_ peer: Lease, to state: inout DesiredState) throws(PeerRefusal) {
        try requireSameType(peer)
        for (subnet, gateway) in try peer.endpoints(in: config) {
            guard host.isOnLink(gateway) else {
                let prefixes = host.linkPrefixes.map(\.description).joined(separator: ", ")
                throw PeerRefusal(
                    "its address \(gateway) is not on the link of \(host.interface) (\(prefixes)), which host-gw needs: use vxlan"
                )
            }
            state.addDirectRoute(to: subnet, via: gateway, on: host.interface)
        }
    }
}

extension DesiredState {
    /// A route through a gateway that is on the interface's own link.
    mutating func addDirectRoute(to subnet: IPPrefix, via gateway: IPAddress, on interface: InterfaceName) {
        routes[RouteKey(destination: subnet)] = RouteSpec(interface: interface, gateway: gateway)
    }
}

extension Lease {
    /// For each family that the config enables: the peer's subnet and the public address that its packets go to.
    ///
    /// - Throws: ``PeerRefusal`` when the lease has a subnet without a public address of its family.
    func endpoints(in config: NetworkConfig) throws(PeerRefusal) -> [(IPPrefix, IPAddress)] {
        var endpoints: [(IPPrefix, IPAddress)] = []
        if config.ipv4 != nil, let subnet = key.ipv4 {
            guard let address = attributes.publicIP else { throw PeerRefusal("PublicIP is missing") }
            endpoints.append((.v4(subnet), .v4(address)))
        }
        if config.ipv6 != nil, let subnet = key.ipv6 {
            guard let address = attributes.publicIPv6 else { throw PeerRefusal("PublicIPv6 is missing") }
            endpoints.append((.v6(subnet), .v6(address)))
        }
        return endpoints
    }
}
