import IPNetwork
import LinuxSystem

/// What the host's firewall should do for the overlay, whichever tool says it to the kernel.
///
/// The meaning is stock flannel's (`pkg/trafficmngr`), so that a cluster of both behaves as one: an address inside the
/// overlay is always seen as it is by another one inside.
public struct Ruleset: Hashable, Sendable {
    /// One family's side of the overlay.
    public struct Overlay<Address: NetworkAddress>: Hashable, Sendable {
        /// The whole overlay: `Network` or `IPv6Network` of the network config.
        public var network: Prefix<Address>
        /// The subnets this host holds a lease for.
        public var ownSubnets: [Prefix<Address>]
        /// Subnets that this host held and another host holds now. Containers here may still use their addresses;
        /// what they send, and what comes for them, is dropped, so that two hosts never answer for one address.
        public var lostSubnets: [Prefix<Address>]

        /// All fields as given; that the subnets lie in the network is not checked.
        public init(network: Prefix<Address>, ownSubnets: [Prefix<Address>], lostSubnets: [Prefix<Address>] = []) {
            self.network = network
            self.ownSubnets = ownSubnets
            self.lostSubnets = lostSubnets
        }
    }

    /// `nil` when the overlay has no IPv4.
    public var ipv4: Overlay<IPv4Address>?
    /// `nil` when the overlay has no IPv6; no IPv6 command is run then.
    public var ipv6: Overlay<IPv6Address>?
    /// Hide the overlay's addresses behind the host's where traffic leaves the overlay (`--ip-masq`).
    public var masquerade: Bool
    /// Choose source ports of masqueraded connections at random, which avoids a race between connections that start
    /// together (the opposite of `--ip-masq-fully-random-disable`).
    public var randomFully: Bool
    /// Accept forwarding from and to the overlay (`--iptables-forward-rules`). When off, nothing on the forward path
    /// is touched, and a lost subnet is not dropped either.
    public var forward: Bool
    /// Interfaces on which other hosts of the overlay are reached (`flannel.1`; for host-gw the external interface).
    /// Traffic of a lost subnet's new holder passes there; with none named, all traffic of a lost subnet is dropped.
    public var peerInterfaces: [InterfaceName]
    /// Networks that this daemon served before, whose rules are its own to remove: those that a subnet file names which
    /// an earlier run wrote. Of any other network's rules it keeps off.
    public var formerNetworks: [IPPrefix]
    /// Where all rules go but those of these networks; `nil` in a ruleset that is to be kept.
    var keptNetworks: [IPPrefix]?

    /// All fields as given.
    public init(
        ipv4: Overlay<IPv4Address>?, ipv6: Overlay<IPv6Address>? = nil,
        masquerade: Bool, randomFully: Bool = true, forward: Bool = true, peerInterfaces: [InterfaceName] = [],
        formerNetworks: [IPPrefix] = []
    ) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.masquerade = masquerade
        self.randomFully = randomFully
        self.forward = forward
        self.peerInterfaces = peerInterfaces
        self.formerNetworks = formerNetworks
    }

    /// No rules, for planes that are not the chosen one; whose they were stays known.
    var withoutRules: Ruleset {
        var ruleset = self
        ruleset.masquerade = false
        ruleset.forward = false
        return ruleset
    }

    /// What it serves, of both families.
    var networks: Set<IPPrefix> { Set(IPFamily.allCases.compactMap { overlay($0)?.network }) }

    /// The same settings as plain prefixes, or `nil` when the overlay lacks `family`.
    func overlay(_ family: IPFamily) -> FamilyOverlay? {
        switch family {
        case .ipv4: ipv4.map { FamilyOverlay($0, IPPrefix.v4) }
        case .ipv6: ipv6.map { FamilyOverlay($0, IPPrefix.v6) }
        }
    }
}

/// One family's overlay with its prefixes as ``IPPrefix``, which is what the renderers print.
struct FamilyOverlay: Hashable {
    var network: IPPrefix
    var ownSubnets: [IPPrefix]
    var lostSubnets: [IPPrefix]

    init<Address>(_ overlay: Ruleset.Overlay<Address>, _ wrap: (Prefix<Address>) -> IPPrefix) {
        network = wrap(overlay.network)
        ownSubnets = overlay.ownSubnets.sorted().map(wrap)
        lostSubnets = overlay.lostSubnets.sorted().map(wrap)
    }
}

/// IPv4 or IPv6, with what each tool calls it.
public enum IPFamily: String, CaseIterable, Hashable, Sendable {
    case ipv4
    case ipv6

    /// All multicast addresses (RFC 5771, RFC 4291 section 2.7).
    var multicast: IPPrefix? { IPPrefix(self == .ipv4 ? "224.0.0.0/4" : "ff00::/8") }
    /// What nftables calls the family: `ip`, `ip6`.
    var nftablesName: String { self == .ipv4 ? "ip" : "ip6" }
    /// How the family's iptables commands begin: `iptables`, `ip6tables`.
    var iptablesName: String { self == .ipv4 ? "iptables" : "ip6tables" }
}
