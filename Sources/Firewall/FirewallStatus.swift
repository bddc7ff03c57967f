/// Which of the kernel's packet filters hold rules. A packet passes all of them, so what one accepts another may drop.
public enum FirewallPlane: String, CaseIterable, Hashable, Sendable {
    /// Weft's own nftables tables.
    case nftables
    /// The nftables tables that `iptables-nft` manages.
    case iptablesNft = "iptables-nft"
    /// The older xtables of `iptables-legacy`.
    case iptablesLegacy = "iptables-legacy"
}

/// How the plane for Weft's rules is chosen.
public enum FirewallPreference: Hashable, Sendable {
    /// What the host has: the flavour of its `iptables` command, which Docker and kube-proxy use too; else nftables.
    case automatic
    /// Own nftables tables: `EnableNFTables` true in the network config. On a host that cannot, iptables and a finding.
    case nftables
    /// The host's `iptables` command: `EnableNFTables` false in the network config. On a host that cannot, nftables and
    /// a finding: the config is one for all hosts, and a host without rules would not work at all.
    case iptables
}

/// Something on the host that stops overlay traffic and that Weft may not change, because it is somebody else's.
public struct FirewallFinding: Hashable, Sendable {
    /// What was found, with the table and chain that hold it.
    public let summary: String
    /// What the operator can do about it: a command where there is one.
    public let remedy: String

    /// All fields as given.
    public init(summary: String, remedy: String) {
        self.summary = summary
        self.remedy = remedy
    }
}

extension FirewallFinding: CustomStringConvertible {
    /// Summary and remedy on one line.
    public var description: String { "\(summary); \(remedy)" }
}

/// Why the rules could not be read or set.
public struct FirewallError: Error, Hashable, Sendable {
    /// The command and the first line it wrote to stderr, or what is missing.
    public let cause: String
    /// What the operator can do about it.
    public let remedy: String
    /// What Weft can do about it.
    let kind: Kind

    enum Kind: Hashable, Sendable {
        /// The command or what it needs of the kernel is not there: another tool may do.
        case unavailable
        /// As ``unavailable``, or another program removed a rule at the same moment: a second attempt tells.
        case perhapsUnavailable
        /// The tool is too old to choose source ports at random.
        case noRandomFully
        /// Nothing but to try again.
        case other
    }

    init(cause: String, remedy: String, kind: Kind = .other) {
        self.cause = cause
        self.remedy = remedy
        self.kind = kind
    }
}

extension FirewallError: CustomStringConvertible {
    /// Cause and remedy on one line.
    public var description: String { "\(cause) (\(remedy))" }
}

/// Whether the firewall is as it should be.
public enum FirewallCondition: Hashable, Sendable {
    /// No ruleset was given yet.
    case idle
    case ok
    /// Weft's rules are in place, yet other rules may stop overlay traffic.
    case findings([FirewallFinding])
    /// Weft's rules could not be read or set; it is tried again.
    case failing(cause: String, remedy: String)
}

/// A snapshot of the firewall keeper's state, for status, health and metrics.
public struct FirewallStatus: Hashable, Sendable {
    /// How the keeper stands with the host's firewall.
    public var condition = FirewallCondition.idle
    /// Where the full rules are; `nil` until one was chosen.
    public var plane: FirewallPlane?
    /// How many commands changed the kernel's rules since the start.
    public var writes = 0
    /// How many checks found Weft's rules changed by somebody else and put them back, since the start.
    public var repairs = 0
    /// Whether the newest ruleset has been in place at the last check.
    public var isApplied = false

    /// The state before the first ruleset.
    public init() {}
}
