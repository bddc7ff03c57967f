import IPNetwork
import KernelState
import Leases
import LinuxSystem

/// An in-kernel VXLAN tunnel: one interface, and for each peer a route to its subnet, a permanent neighbour entry for the
/// route's gateway and a forwarding entry for the neighbour's MAC. As flannel's vxlan, on the wire and in the registry.
public struct VXLANBackend: Backend {
    /// flannel's name for it.
    public static let type = "vxlan"

    private let config: NetworkConfig
    private let host: HostFacts
    private let options: VXLANOptions
    private let ipv4: Tunnel<IPv4Address>?
    private let ipv6: Tunnel<IPv6Address>?

    /// One family's interface.
    private struct Tunnel<Address: NetworkAddress>: Sendable {
        var interface: InterfaceName
        var local: Address
        var mtu: UInt32
    }

    /// - Throws: ``BackendError`` for a bad option, an address that the host lacks, and an MTU too small for VXLAN.
    public init(config: NetworkConfig, host: HostFacts) throws(BackendError) {
        self.config = config
        self.host = host
        let options: VXLANOptions
        do {
            options = try VXLANOptions(config.backend)
        } catch {
            throw BackendError("\(error)")
        }
        self.options = options
        // Outer Ethernet, IP, UDP and VXLAN headers: 14 + 20 + 8 + 8, with IPv6 14 + 40 + 8 + 8.
        ipv4 =
            config.ipv4 == nil
            ? nil : try Self.tunnel("flannel", options, host, local: host.localIPv4, family: "IPv4", overhead: 50)
        ipv6 =
            config.ipv6 == nil
            ? nil : try Self.tunnel("flannel-v6", options, host, local: host.localIPv6, family: "IPv6", overhead: 70)
    }

    private static func tunnel<Address>(
        _ name: String, _ options: VXLANOptions, _ host: HostFacts, local: Address?, family: String, overhead: UInt32
    ) throws(BackendError) -> Tunnel<Address> {
        guard let interface = InterfaceName("\(name).\(options.vni)") else {
            throw BackendError(
                "Backend.VNI is \(options.vni); \(name).\(options.vni) is too long for an interface's name")
        }
        guard let local else { throw .missingAddress(of: family, on: host.interface) }
        let outer = options.mtu ?? host.mtu
        // Below 1280 the kernel takes IPv6 off an interface (RFC 8200, section 5).
        let least: UInt32 = Address.bitWidth == 128 ? 1280 + overhead : 576
        guard outer >= least else {
            throw BackendError(
                "interface \(host.interface) has MTU \(outer), too small for VXLAN over \(family); it takes \(least) at least"
            )
        }
        return Tunnel(interface: interface, local: local, mtu: outer - overhead)
    }

    /// The smaller of the tunnels' MTUs, in bytes: the external interface's less the encapsulation.
    public var mtu: UInt32 { [ipv4?.mtu, ipv6?.mtu].compactMap { $0 }.min() ?? host.mtu }

    /// The tunnel of each family that is on.
    public var ownInterfaces: Set<InterfaceName> {
        Set([ipv4?.interface, ipv6?.interface].compactMap { $0 })
    }

    // MARK: What this host publishes

    /// The public addresses, and for each family the VNI and the VTEP's MAC: the one published before, if any.
    public func attributes(for key: SubnetKey, existing: Lease?) -> LeaseAttributes {
        var attributes = baseAttributes(host: host, config: config)
        if ipv4 != nil, let subnet = key.ipv4 {
            attributes.backendData = data(mac(existing?.attributes.backendData) ?? VTEPAddress.derived(from: subnet))
        }
        if ipv6 != nil, let subnet = key.ipv6 {
            attributes.backendV6Data = data(
                mac(existing?.attributes.backendV6Data) ?? VTEPAddress.derived(from: subnet))
        }
        return attributes
    }

    private func data(_ mac: MACAddress) -> JSONValue {
        .object([.init("VNI", .number("\(options.vni)")), .init("VtepMAC", .string("\(mac)"))])
    }

    private func mac(_ data: JSONValue?) -> MACAddress? {
        guard case .string(let text)? = data?["VtepMAC"], let mac = MACAddress(text), mac.isValidUnicast else {
            return nil
        }
        return mac
    }

    // MARK: What this host holds

    /// The tunnel of each family, with the lease's VTEP MAC and the subnet's first address.
    public func hostState(lease: Lease) -> DesiredState {
        var state = DesiredState()
        if let ipv4, let subnet = lease.key.ipv4 {
            add(
                ipv4, .v4(ipv4.local), .v4(subnet.address), 32, mac(lease.attributes.backendData) ?? .derived(subnet),
                &state)
        }
        if let ipv6, let subnet = lease.key.ipv6 {
            add(
                ipv6, .v6(ipv6.local), .v6(subnet.address), 128,
                mac(lease.attributes.backendV6Data) ?? .derived(subnet),
                &state)
        }
        return state
    }

    private func add<Address>(
        _ tunnel: Tunnel<Address>, _ local: IPAddress, _ address: IPAddress, _ length: Int, _ mac: MACAddress,
        _ state: inout DesiredState
    ) {
        let vxlan = VXLANSpec(
            vni: options.vni, port: options.port, local: local, lower: host.interface, learning: options.learning,
            gbp: options.gbp)
        state.links[tunnel.interface] = LinkSpec(
            name: tunnel.interface, kind: .vxlan(vxlan), mtu: tunnel.mtu, mac: mac)
        // A host prefix, so that no broadcast route comes with it.
        state.addresses.insert(AddressKey(interface: tunnel.interface, address: address, prefixLength: length))
    }

    // MARK: What is there for a peer

    /// Adds route, neighbour and forwarding entry for each family; a direct route alone where the option asks for it
    /// and the peer is on the link.
    ///
    /// - Throws: ``PeerRefusal`` also for a lease without a usable VTEP MAC.
    public func addPeer(_ peer: Lease, to state: inout DesiredState) throws(PeerRefusal) {
        try requireSameType(peer)
        for (subnet, remote) in try peer.endpoints(in: config) {
            if options.directRouting && host.isOnLink(remote) {
                state.addDirectRoute(to: subnet, via: remote, on: host.interface)
                continue
            }
            let isIPv6 = subnet.isIPv6
            guard let interface = isIPv6 ? ipv6?.interface : ipv4?.interface else { continue }
            let mac = try vtepMAC(of: peer, isIPv6 ? "BackendV6Data" : "BackendData")
            // The gateway is the first address of the peer's subnet: its tunnel interface holds it.
            let gateway = subnet.address
            state.routes[RouteKey(destination: subnet)] = RouteSpec(
                interface: interface, gateway: gateway, onlink: true)
            state.neighbours[NeighbourKey(interface: interface, address: gateway)] = mac
            state.fdb[FDBKey(interface: interface, mac: mac)] = remote
        }
    }

    private func vtepMAC(of peer: Lease, _ field: String) throws(PeerRefusal) -> MACAddress {
        let data = field == "BackendData" ? peer.attributes.backendData : peer.attributes.backendV6Data
        guard let data, case .object = data else {
            throw PeerRefusal("\(field) is missing; it must hold the VTEP's MAC address")
        }
        do throws(FieldError) {
            let allowed = "a unicast MAC address such as \"8e:01:02:03:04:05\""
            let mac = try data.parsed("VtepMAC", path: field, allowed: allowed) { text in
                MACAddress(text).flatMap { $0.isValidUnicast ? $0 : nil }
            }
            guard let mac else { throw FieldError(path: "\(field).VtepMAC", value: nil, allowed: allowed) }
            // flannel v0.11 published no VNI.
            if let vni = try data.integer("VNI", in: 0...16_777_215, path: field), vni != Int(options.vni) {
                throw FieldError(path: "\(field).VNI", value: "\(vni)", allowed: "\(options.vni), as Backend.VNI says")
            }
            return mac
        } catch {
            throw PeerRefusal("\(error)")
        }
    }
}

extension MACAddress {
    fileprivate static func derived(_ subnet: IPv4Prefix) -> MACAddress { VTEPAddress.derived(from: subnet) }
    fileprivate static func derived(_ subnet: IPv6Prefix) -> MACAddress { VTEPAddress.derived(from: subnet) }
}
