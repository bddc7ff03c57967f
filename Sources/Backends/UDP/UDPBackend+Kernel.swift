import IPNetwork
import KernelState
import Leases
import LinuxSystem

extension UDPBackend {
    /// A tunnel interface, the FOU port that its packets come in by, and a route for the whole network, so that what no peer
    /// has leaves by no other way. IPv4 alone: see ``kernelObstacle(to:)``.
    func kernelState(lease: Lease) -> DesiredState {
        var state = DesiredState()
        guard let range = config.ipv4, let subnet = lease.key.ipv4, let local = host.localIPv4 else { return state }
        state.fouPorts[port] = .sameFamily(port)
        let tunnel = FOUTunnelSpec(local: .v4(local), port: options.port)
        state.links[Self.interface] = LinkSpec(name: Self.interface, kind: .fouTunnel(tunnel), mtu: mtu)
        state.addresses.insert(AddressKey(interface: Self.interface, address: .v4(subnet.address), prefixLength: 32))
        state.routes[.yielding(.v4(range.network))] = RouteSpec(interface: Self.interface, gateway: nil)
        if options.checksPeers { state.checkedInterfaces.insert(Self.interface) }
        return state
    }

    /// The interface has no one remote: each route's gateway is where the kernel sends to.
    func addKernelPeer(_ subnet: IPPrefix, _ remote: IPAddress, to state: inout DesiredState) {
        state.routes[RouteKey(destination: subnet)] = RouteSpec(
            interface: Self.interface, gateway: remote, onlink: true)
    }

    private var port: FOUPortKey { FOUPortKey(isIPv6: false, port: options.port) }

    /// The kernel plane's FOU port, also in userspace: the socket there needs the port for itself.
    public var ownPorts: Set<FOUPortKey> { [port] }

    /// What the other plane has, which goes.
    public var formerInterfaces: Set<InterfaceName> { [Self.interface] }
}
