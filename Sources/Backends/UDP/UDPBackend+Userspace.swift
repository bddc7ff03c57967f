import IPNetwork
import KernelState
import Leases
import LinuxSystem

extension UDPBackend {
    /// A TUN device that the whole network is routed to, as flannel does it, and the tunnel behind it.
    func userspaceState(lease: Lease) -> DesiredState {
        var state = DesiredState()
        let device = Self.interface
        state.links[device] = LinkSpec(name: device, kind: .tun, mtu: mtu)
        var tunnel = TunnelSpec(device: device, port: options.port, checksPeers: options.checksPeers)
        if let range = config.ipv4, let subnet = lease.key.ipv4, let local = host.localIPv4 {
            state.addUserspaceFamily(.v4(range.network), own: .v4(subnet), on: device)
            tunnel.add(local: .v4(local), own: .v4(subnet))
        }
        if let range = config.ipv6, let subnet = lease.key.ipv6, let local = host.localIPv6 {
            state.addUserspaceFamily(.v6(range.network), own: .v6(subnet), on: device)
            tunnel.add(local: .v6(local), own: .v6(subnet))
        }
        state.tunnel = tunnel
        return state
    }
}

extension DesiredState {
    /// A host prefix, so that no broadcast route comes with it, and a route for the network, which is put back when it
    /// goes: one that comes with an address would not be. It gives way to the one of a flannel that takes over.
    fileprivate mutating func addUserspaceFamily(
        _ network: IPPrefix, own subnet: IPPrefix, on device: InterfaceName
    ) {
        addresses.insert(
            AddressKey(interface: device, address: subnet.address, prefixLength: subnet.isIPv6 ? 128 : 32))
        routes[.yielding(network)] = RouteSpec(interface: device, gateway: nil)
    }
}

extension TunnelSpec {
    fileprivate mutating func add(local: IPAddress, own subnet: IPPrefix) {
        endpoints.append(local)
        addresses.append(subnet.address)
        ownSubnets.append(subnet)
    }
}
