import IPNetwork
import KernelState
import Leases
import LinuxSystem

/// A way to carry packets between hosts. It never touches a kernel: it maps leases to the state that a kernel should hold.
public protocol Backend: Sendable {
    /// The name in the network config and in leases.
    static var type: String { get }

    /// Reads the backend's options.
    ///
    /// - Throws: ``BackendError`` naming the option, its value and what is allowed, or what the host lacks.
    init(config: NetworkConfig, host: HostFacts) throws(BackendError)

    /// The MTU for containers, in bytes: what FLANNEL_MTU says.
    var mtu: UInt32 { get }

    /// Interfaces of the backend's own: everything on them is Weft's.
    var ownInterfaces: Set<InterfaceName> { get }

    /// Interfaces that the backend has with other options, and that go with these: of these too everything is Weft's.
    var formerInterfaces: Set<InterfaceName> { get }

    /// FOU ports that are the backend's own, in use or not.
    var ownPorts: Set<FOUPortKey> { get }

    /// What this host publishes with a lease of `key`. `existing` is what its lease holds already; a VTEP MAC in it is
    /// kept, since the peers know it.
    func attributes(for key: SubnetKey, existing: Lease?) -> LeaseAttributes

    /// What does not depend on a peer: the interface and its address.
    func hostState(lease: Lease) -> DesiredState

    /// Adds what is there for the sake of one peer.
    ///
    /// - Throws: ``PeerRefusal`` when the peer's lease cannot be served; no other peer is touched by it, and `state` may
    ///   hold a part of it.
    func addPeer(_ peer: Lease, to state: inout DesiredState) throws(PeerRefusal)
}

/// A backend that cannot work with this config on this host.
public struct BackendError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, for the log: the option or what the host lacks.
    public let description: String
    /// The text is shown as it is.
    public init(_ description: String) { self.description = description }

    /// The config has a family on that the external interface has no address of.
    static func missingAddress(of family: String, on interface: InterfaceName) -> BackendError {
        BackendError(
            "interface \(interface) has no \(family) address that other hosts could reach, and the config has "
                + "Enable\(family) on: give it one, name another interface with --iface"
                + (family == "IPv6" ? ", or see that net.ipv6.conf.\(interface).disable_ipv6 is 0" : ""))
    }
}

/// Why a peer's lease is not served.
public struct PeerRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with the lease or with the peer's place, for the log.
    public let description: String
    /// The text is shown as it is.
    public init(_ description: String) { self.description = description }
}

/// The backends there are, by the name that the network config gives.
public enum BackendCatalogue {
    /// - Throws: ``BackendError`` for an unknown name, and what the backend's own initialiser throws.
    public static func make(config: NetworkConfig, host: HostFacts) throws(BackendError) -> any Backend {
        switch config.backendType {
        case VXLANBackend.type: return try VXLANBackend(config: config, host: host)
        case HostGatewayBackend.type: return try HostGatewayBackend(config: config, host: host)
        case UDPBackend.type: return try UDPBackend(config: config, host: host)
        default:
            throw BackendError(
                "Backend.Type is \"\(config.backendType)\"; this version has: \(UDPBackend.type), \(VXLANBackend.type), "
                    + "\(HostGatewayBackend.type)")
        }
    }
}

extension Backend {
    /// None.
    public var formerInterfaces: Set<InterfaceName> { [] }
    /// None.
    public var ownPorts: Set<FOUPortKey> { [] }

    /// The attributes that every backend publishes; a backend adds its data.
    func baseAttributes(host: HostFacts, config: NetworkConfig) -> LeaseAttributes {
        // A stock flanneld leaves PublicIP out too where the network has no IPv4.
        LeaseAttributes(
            publicIP: config.ipv4 == nil ? nil : host.publicIPv4,
            publicIPv6: config.ipv6 == nil ? nil : host.publicIPv6, backendType: Self.type)
    }

    /// - Throws: ``PeerRefusal`` when the peer uses another backend.
    func requireSameType(_ peer: Lease) throws(PeerRefusal) {
        guard peer.attributes.backendType.lowercased() == Self.type else {
            let theirs = peer.attributes.backendType.isEmpty ? "none" : peer.attributes.backendType
            throw PeerRefusal(
                "the host uses backend \(theirs), this one \(Self.type): restart its daemon so that it reads the config again"
            )
        }
    }
}
