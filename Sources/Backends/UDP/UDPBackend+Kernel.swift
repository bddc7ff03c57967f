import IPNetwork
import KernelState
import Leases
import LinuxSystem

extension UDPBackend {
    /// For each family a tunnel interface, the FOU port that its packets come in by, and a route for the whole network, so
    /// that what no peer has leaves by no other way.
    ///
    /// The FOU port of a family hands on packets of one family, and cannot tell them apart: the outer packets' family says
    /// which. So IPv4 goes in IPv4 and IPv6 in IPv6, each by a port and an interface of its own.
    func kernelState(lease: Lease) -> DesiredState {
        var state = DesiredState()
        if let range = config.ipv4, let subnet = lease.key.ipv4, let local = host.localIPv4 {
            addKernelFamily(.v4(range.network), own: .v4(subnet), local: .v4(local), to: &state)
            if options.checksPeers { state.checkedInterfaces.insert(Self.interface) }
        }
        if let range = config.ipv6, let subnet = lease.key.ipv6, let local = host.localIPv6 {
            addKernelFamily(.v6(range.network), own: .v6(subnet), local: .v6(local), to: &state)
        }
        return state
    }

    private func addKernelFamily(
        _ network: IPPrefix, own subnet: IPPrefix, local: IPAddress, to state: inout DesiredState
    ) {
        let key = FOUPortKey(isIPv6: subnet.isIPv6, port: options.port)
        let interface = Self.kernelInterface(isIPv6: subnet.isIPv6)
        state.fouPorts[key] = .sameFamily(key)
        let tunnel = FOUTunnelSpec(local: local, port: options.port)
        state.links[interface] = LinkSpec(name: interface, kind: .fouTunnel(tunnel), mtu: mtu)
        state.addresses.insert(
            AddressKey(interface: interface, address: subnet.address, prefixLength: subnet.isIPv6 ? 128 : 32))
        state.routes[.yielding(network)] = RouteSpec(interface: interface, gateway: nil)
    }

    /// The interface has no one remote: each route's gateway is where the kernel sends to.
    func addKernelPeer(_ subnet: IPPrefix, _ remote: IPAddress, to state: inout DesiredState) {
        state.routes[RouteKey(destination: subnet)] = RouteSpec(
            interface: Self.kernelInterface(isIPv6: subnet.isIPv6), gateway: remote, onlink: true)
    }

    static func kernelInterface(isIPv6: Bool) -> InterfaceName { isIPv6 ? interfaceIPv6 : interface }

    /// The kernel has no interface for packets of both families over both.
    static let interfaceIPv6 = {
        guard let name = InterfaceName("flannel0-v6") else { preconditionFailure("eleven letters are a name") }
        return name
    }()

    /// The FOU ports of either plane: the userspace plane's socket needs the port for itself.
    public var ownPorts: Set<FOUPortKey> {
        [FOUPortKey(isIPv6: false, port: options.port), FOUPortKey(isIPv6: true, port: options.port)]
    }

    /// What the other plane has, which goes.
    public var formerInterfaces: Set<InterfaceName> { Self.interfaces }

    /// The names that the interfaces of either plane have.
    public static let interfaces: Set<InterfaceName> = [interface, interfaceIPv6]
}
