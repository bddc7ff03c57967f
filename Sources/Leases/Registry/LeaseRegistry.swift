import IPNetwork

/// What this host asks of a registry.
public struct LeaseClaim: Sendable {
    /// A lease with this public address is this host's own.
    public var publicIP: IPv4Address?
    /// The same for IPv6.
    public var publicIPv6: IPv6Address?
    /// The subnet that an earlier run left in the subnet file; taken again when it is free and fits the config.
    public var previous: SubnetKey?
    /// What to publish for a subnet, from the backend; called again for each subnet that is tried. `existing` is what this
    /// host's own lease holds already, so that for example a VTEP MAC is kept.
    public var attributes:
        @Sendable (_ config: NetworkConfig, _ key: SubnetKey, _ existing: Lease?) throws -> LeaseAttributes

    /// All fields as given.
    public init(
        publicIP: IPv4Address?, publicIPv6: IPv6Address?, previous: SubnetKey?,
        attributes: @escaping @Sendable (NetworkConfig, SubnetKey, Lease?) throws -> LeaseAttributes
    ) {
        self.publicIP = publicIP
        self.publicIPv6 = publicIPv6
        self.previous = previous
        self.attributes = attributes
    }
}

/// Whether the registry can be used at the moment.
public enum RegistryCondition: Hashable, Sendable {
    case connected
    /// Not reachable or not usable; retried on and on. `cause` says why and what to do.
    case unavailable(cause: String)
    /// It can be used, but the network config in it cannot, and there is no earlier one to go on with.
    case configUnusable(cause: String)
}

/// What is new since the last update.
public struct RegistryUpdate: Sendable {
    /// The network config, on the first update and whenever its text changed to another valid one.
    public var config: NetworkConfig?
    /// This host's lease, on the first update and whenever it changed (another subnet, other attributes).
    public var ownLease: Lease?
    /// Subnets that this host held and that another host holds now: stop forwarding for them.
    public var lostSubnets: Set<SubnetKey>?
    /// Peers' leases that came, changed or went; our own is never among them.
    public var changes: LeaseChanges
    /// Leases that are ignored, and why; the whole list, when it changed.
    public var rejections: [LeaseRejection]?
    /// Whether the registry can be used, when that changed.
    public var condition: RegistryCondition?

    /// All fields as given; `nil` says that nothing is new.
    public init(
        config: NetworkConfig? = nil, ownLease: Lease? = nil, lostSubnets: Set<SubnetKey>? = nil,
        changes: LeaseChanges = LeaseChanges(), rejections: [LeaseRejection]? = nil,
        condition: RegistryCondition? = nil
    ) {
        self.config = config
        self.ownLease = ownLease
        self.lostSubnets = lostSubnets
        self.changes = changes
        self.rejections = rejections
        self.condition = condition
    }

    /// Adds what came after this, so that a slow reader gets one update and never a queue of them.
    public mutating func merge(_ later: RegistryUpdate) {
        config = later.config ?? config
        ownLease = later.ownLease ?? ownLease
        lostSubnets = later.lostSubnets ?? lostSubnets
        changes.merge(later.changes)
        rejections = later.rejections ?? rejections
        condition = later.condition ?? condition
    }
}

/// A place where hosts lease subnets of one network: etcd, or the Kubernetes API.
///
/// `run` takes the config, acquires this host's lease, keeps it, and follows the others' until its task is cancelled. It
/// never ends for a fault of the registry: it retries with jittered back-off and reports the condition.
public protocol LeaseRegistry: Sendable {
    /// It may be run again by the same process, with another claim: the lease that is held is then written to say so.
    ///
    /// - Parameter publish: called with each update, in order, from one task.
    /// - Throws: `CancellationError` alone. A claim that can't say what to publish is asked again after a while and when
    ///   the config changes.
    func run(claim: LeaseClaim, publish: @escaping @Sendable (RegistryUpdate) -> Void) async throws
}
