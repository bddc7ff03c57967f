/// A thing that can be wrong with a host, as data: what it is called, how bad it is, and what to do.
public enum HealthCondition: String, CaseIterable, Hashable, Sendable {
    case starting = "starting"
    case noInterface = "no-interface"
    case registryUnavailable = "registry-unavailable"
    case configUnusable = "config-unusable"
    case kernelUnreadable = "kernel-unreadable"
    case kernelRefuses = "kernel-refuses"
    case incomplete = "data-plane-incomplete"
    case peerRefused = "peer-refused"
    case routeConflict = "route-conflict"
    case firewallFailing = "firewall-failing"
    case firewallFinding = "firewall-finding"
    case subnetFileUnwritable = "subnet-file-unwritable"
    case leaseIgnored = "lease-ignored"
    case subnetLost = "subnet-lost"
    case forwardingOff = "forwarding-off"
    case tunnelDown = "tunnel-down"

    /// How much of the overlay suffers.
    public enum Severity: String, Comparable, Hashable, Sendable {
        /// The overlay works; something should be looked at.
        case warning
        /// This host, or a peer, is not served.
        case error

        /// A warning is less than an error.
        public static func < (lhs: Self, rhs: Self) -> Bool { lhs == .warning && rhs == .error }
    }

    /// Fixed for each condition.
    public var severity: Severity {
        switch self {
        case .forwardingOff, .leaseIgnored, .firewallFinding, .registryUnavailable, .routeConflict, .peerRefused:
            .warning
        case .starting, .noInterface, .configUnusable, .kernelUnreadable, .kernelRefuses, .incomplete, .firewallFailing,
            .subnetFileUnwritable, .subnetLost, .tunnelDown:
            .error
        }
    }

    /// Whether a host with it is not ready. A registry that is away, or a peer that cannot be served, does not make the
    /// data plane of the others less ready.
    public var blocksReadiness: Bool {
        switch self {
        case .starting, .noInterface, .configUnusable, .kernelUnreadable, .kernelRefuses, .incomplete, .firewallFailing,
            .subnetFileUnwritable, .tunnelDown:
            true
        case .registryUnavailable, .routeConflict, .peerRefused, .firewallFinding, .leaseIgnored, .subnetLost,
            .forwardingOff:
            false
        }
    }

    /// What it means.
    public var summary: String {
        switch self {
        case .starting: "the data plane is not built yet"
        case .noInterface: "no external interface can be used"
        case .registryUnavailable: "the registry cannot be used; the data plane goes on as it is"
        case .configUnusable: "the network config cannot be used on this host"
        case .kernelUnreadable: "the kernel's network state cannot be read or changed"
        case .kernelRefuses: "the kernel refuses this host's interface or address"
        case .incomplete: "objects of the overlay are missing and cannot be put at the moment"
        case .peerRefused: "the kernel refuses what a peer needs"
        case .routeConflict: "somebody else's route is where a peer's should be"
        case .firewallFailing: "the firewall rules cannot be set"
        case .firewallFinding: "other firewall rules may stop overlay traffic"
        case .subnetFileUnwritable: "the subnet file cannot be written"
        case .leaseIgnored: "leases in the registry are ignored"
        case .subnetLost: "another host holds the subnet that this host held"
        case .forwardingOff: "the kernel forwards no packets, so containers talk to no other host's"
        case .tunnelDown: "the userspace tunnel of the udp backend does not run"
        }
    }

    /// What an operator does about it.
    public var remedy: String {
        switch self {
        case .starting: "wait; the other conditions say what is missing"
        case .noInterface: "bring the interface up with an address, or name it with --iface"
        case .registryUnavailable: "check that etcd runs and that --etcd-endpoints and the certificates are right"
        case .configUnusable: "correct <prefix>/config in etcd"
        case .kernelUnreadable: "grant CAP_NET_ADMIN; see the error"
        case .kernelRefuses: "see the error; often a kernel module is missing"
        case .incomplete: "bring the external interface up"
        case .peerRefused: "see the error; the peer's lease may be wrong"
        case .routeConflict: "remove the route, or give it another metric"
        case .firewallFailing: "see the error; install nftables or iptables"
        case .firewallFinding: "add the rule that the finding names"
        case .subnetFileUnwritable: "make the folder of --subnet-file writable"
        case .leaseIgnored: "mend or remove the keys that are named"
        case .forwardingOff: "set it to 1 with sysctl -w, and in /etc/sysctl.d"
        case .tunnelDown: "see the error; stop what has the device or the port"
        case .subnetLost: "restart the container engine so that its containers move to the new subnet"
        }
    }
}
