import IPNetwork
import KernelState
import Leases
import LinuxSystem

/// Bare IP packets in UDP datagrams, one in each, as flannel's udp backend: what works on every network, and the default.
///
/// An inner packet goes over the outer family that is its own, to the PublicIP or PublicIPv6 that the peer publishes.
public struct UDPBackend: Backend {
    /// flannel's name for it.
    public static let type = "udp"
    /// flannel's name for its TUN device, with the first free number, which is 0.
    public static let interface = InterfaceName(known: "flannel0")

    /// What carries the packets on this host.
    public let choice: UDPPlaneChoice

    let config: NetworkConfig
    let host: HostFacts
    let options: UDPOptions

    /// - Throws: ``BackendError`` for a bad option, an address that the host lacks, an MTU too small, and a data plane that
    ///   is asked for and cannot be.
    public init(config: NetworkConfig, host: HostFacts) throws(BackendError) {
        self.config = config
        self.host = host
        do {
            options = try UDPOptions(config.backend)
        } catch {
            throw BackendError("\(error)")
        }
        if let forced = host.forcedPlane {
            choice = forced
        } else {
            choice = try Self.choose(options.dataPlane, config, host)
        }
        guard config.ipv4 == nil || host.localIPv4 != nil else { throw .missingAddress(of: "IPv4", on: host.interface) }
        guard config.ipv6 == nil || host.localIPv6 != nil else { throw .missingAddress(of: "IPv6", on: host.interface) }
        // Below 1280 the kernel takes IPv6 off an interface (RFC 8200, section 5).
        let least: UInt32 = config.ipv6 == nil ? 576 : 1280 + Self.overheadIPv6
        guard host.mtu >= least else {
            throw BackendError(
                "interface \(host.interface) has MTU \(host.mtu), too small for the udp backend over "
                    + "\(config.ipv6 == nil ? "IPv4" : "IPv6"); it takes \(least) at least")
        }
    }

    private static func choose(
        _ wanted: UDPOptions.DataPlane, _ config: NetworkConfig, _ host: HostFacts
    ) throws(BackendError) -> UDPPlaneChoice {
        switch (wanted, kernelObstacle(to: config).map(KernelPlaneSupport.unavailable) ?? host.kernelPlane) {
        case (.userspace, _): return UDPPlaneChoice(plane: .userspace, reason: "Backend.DataPlane says so")
        case (.auto, .unavailable(let lack)): return UDPPlaneChoice(plane: .userspace, reason: lack)
        case (.auto, .available): return UDPPlaneChoice(plane: .kernel, reason: "the kernel has Foo-over-UDP")
        case (.kernel, .available): return UDPPlaneChoice(plane: .kernel, reason: "Backend.DataPlane says so")
        case (.kernel, .unavailable(let lack)):
            throw BackendError(
                "Backend.DataPlane is \"kernel\", but \(lack); set it to \"auto\", or give the kernel what it lacks")
        }
    }

    /// What keeps every host from the kernel plane with this config, in words that follow "since".
    ///
    /// Linux looks an IPv6 route's gateway up, "onlink" or not, and refuses one that is reached by another device than the
    /// route's own ("Nexthop has invalid gateway or device mismatch", 6.1), which is every peer on the host's own link.
    public static func kernelObstacle(to config: NetworkConfig) -> String? {
        config.ipv6 == nil ? nil : "the network has IPv6, for which Linux refuses routes to peers on the same link"
    }

    /// Whether the config leaves the kernel plane open, so that it is worth asking the kernel; false for bad options.
    public static func mayUseKernel(_ config: NetworkConfig) -> Bool {
        config.backendType == type && ((try? UDPOptions(config.backend))?.dataPlane ?? .userspace) != .userspace
    }

    /// Whether the config asks for the kernel plane and no other, so that a host whose kernel lacks it cannot take part;
    /// false for bad options.
    public static func needsKernel(_ config: NetworkConfig) -> Bool {
        config.backendType == type && (try? UDPOptions(config.backend))?.dataPlane == .kernel
    }

    /// The config that the options were read from.
    public var backendConfig: JSONValue { config.backend }

    /// Whether the config leaves the choice of the plane to the host.
    public var choosesFreely: Bool { options.dataPlane == .auto }

    /// Outer IP and UDP headers, in bytes: 20 + 8 and 40 + 8.
    static let overheadIPv4: UInt32 = 28
    static let overheadIPv6: UInt32 = 48

    /// In bytes: the external interface's less the outer headers, those of IPv6 where the network has it.
    public var mtu: UInt32 { host.mtu - (config.ipv6 == nil ? Self.overheadIPv4 : Self.overheadIPv6) }

    /// One device, in either plane.
    public var ownInterfaces: Set<InterfaceName> { [Self.interface] }

    /// The public addresses alone: udp publishes no backend type and no data.
    public func attributes(for key: SubnetKey, existing: Lease?) -> LeaseAttributes {
        var attributes = baseAttributes(host: host, config: config)
        attributes.backendType = ""
        return attributes
    }

    /// The device, the subnet's first address on it, and what else the plane needs.
    public func hostState(lease: Lease) -> DesiredState {
        switch choice.plane {
        case .userspace: userspaceState(lease: lease)
        case .kernel: kernelState(lease: lease)
        }
    }

    /// Adds the way to a peer's subnet for each family.
    ///
    /// - Throws: ``PeerRefusal`` for a peer with another backend or without a public address.
    public func addPeer(_ peer: Lease, to state: inout DesiredState) throws(PeerRefusal) {
        // flannel's udp publishes no type.
        if !peer.attributes.backendType.isEmpty { try requireSameType(peer) }
        for (subnet, remote) in try peer.endpoints(in: config) {
            switch choice.plane {
            case .userspace: state.nextHops[subnet] = remote
            case .kernel: addKernelPeer(subnet, remote, to: &state)
            }
        }
    }
}
