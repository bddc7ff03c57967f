import IPNetwork
import KernelState
import LinuxSystem
import Netlink

extension FOUTunnelSpec {
    /// Such that the wire has what a userspace daemon sends: UDP with a time to live of 64, of type of service 0 but for
    /// congestion marks, and DF: the kernel sets it on all packets of a tunnel with a TTL of its own. What is too large for
    /// the path is answered with its MTU, or fragmented before it is wrapped. IPv4 goes without a UDP checksum, as VXLAN does, IPv6 with one, since sockets take
    /// none without.
    var settings: IPTunnelSettings {
        var settings = IPTunnelSettings(local: local, innerProtocol: local.isIPv6 ? 41 : 4, ttl: 64)
        settings.encapsulation = TunnelEncapsulation(
            type: .fou, flags: local.isIPv6 ? .checksumIPv6 : [], destinationPort: port)
        if local.isIPv6 {
            // Else a destination options header comes between UDP and the inner packet.
            settings.flags = IPTunnelSettings.ignoreEncapsulationLimit
        } else {
            settings.tos = 0
            settings.setsDoNotFragment = true
        }
        return settings
    }

    /// What makes such an interface.
    public var linkKind: LinkKind { local.isIPv6 ? .ip6tnl(settings) : .ipip(settings) }

    /// `nil` for a tunnel that is another thing than one over Foo-over-UDP.
    public init?(_ settings: IPTunnelSettings) {
        guard
            let local = settings.local, let encapsulation = settings.encapsulation, encapsulation.type == .fou,
            !settings.external
        else { return nil }
        self.init(local: local, port: encapsulation.destinationPort)
        var held = settings
        held.otherAttributes = []
        // What the kernel decides by itself, and would be changed for ever.
        held.setsDoNotFragment = self.settings.setsDoNotFragment
        isAltered = held != self.settings
    }
}

extension FOUPortKey {
    init(_ port: FOUPort) { self.init(isIPv6: port.family == .v6, port: port.port) }

    func port(_ spec: FOUPortSpec) -> FOUPort {
        FOUPort(family: isIPv6 ? .v6 : .v4, port: port, innerProtocol: spec.innerProtocol)
    }
}

/// A FOU port as the kernel has it.
enum FOUPortValue: Equatable {
    case known(FOUPortSpec)
    /// Narrowed to an address, a peer or an interface, or of GUE.
    case other(FOUPort)

    init(_ port: FOUPort) {
        let spec = FOUPortSpec(innerProtocol: port.innerProtocol)
        var plain = port
        plain.otherAttributes = []
        self = FOUPortKey(port).port(spec) == plain ? .known(spec) : .other(port)
    }
}
