import Leases
import Logging

/// Leases in etcd, whichever of its APIs the store speaks.
///
/// One task does everything in order: it starts a session at an endpoint, lists, gets or checks this host's lease, and
/// follows the changes after the list. Whatever goes wrong ends in a new list, of which the difference to what was
/// known is published: nothing is missed and nothing is applied twice. What arrives meanwhile (changes, deadlines)
/// waits in one queue, so that no two things happen to the lease at a time.
///
/// Two hosts with one PublicIP: the lease is found by that address, so that the second host takes over the first one's
/// subnet, as with flannel. When what they publish differs, or one of them writes the lease three times in ten minutes,
/// an error is logged that names the address. Two that publish the same and rarely start are not told from one host
/// that restarts: the registry holds nothing else that names a host.
public actor EtcdLeaseRegistry: LeaseRegistry {
    let store: any SubnetStore
    /// How long before its end a lease is renewed.
    let renewMargin: Duration
    /// How long a peer's lease that is gone from the registry is kept, so that a host which takes its own again at once
    /// is not cut off in between.
    let removalGrace: Duration
    let logger: Logger
    let clock = ContinuousClock()

    var claim = LeaseClaim(publicIP: nil, publicIPv6: nil, previous: nil) { _, _, _ in LeaseAttributes() }
    var publish: @Sendable (RegistryUpdate) -> Void = { _ in }

    /// The config in force and its text; `nil` until there is a good one.
    var config: ActiveConfig?
    /// The peers; there when `config` is.
    var leases: LeaseSet?
    var own: OwnHold?
    /// The last key that went out as this host's.
    var publishedKey: SubnetKey?
    /// Everything up to this revision is known.
    var seenRevision: Int64 = 0
    /// What is left of a subnet that had to be given up in part: the next one holds it too.
    var spared: SubnetKey?
    /// No subnet is free; tried again when one is.
    var isFull = false
    var lost: Set<SubnetKey> = []
    /// When a value of ours that another overwrote is written again.
    var rewrite = RewriteSchedule()
    /// When what failed for this host's lease is tried again.
    var retryAt: ContinuousClock.Instant?
    /// A lease was taken or written anew, and others with its PublicIP have not been looked for yet.
    var mayHaveDoubles = false
    var foreignWrites = ForeignWrites()
    /// Set to have the watch end and a new list made.
    var relistReason: String?

    /// Goes out with the next ``flush()``.
    var pending = RegistryUpdate()
    /// The first update went out.
    var isStarted = false
    var publishedRejections: [LeaseRejection] = []
    private var condition: RegistryCondition?
    /// The log's last word is that the registry is unavailable.
    private var saysUnavailable = false
    var repeated = RepeatedLog()
    private var failover: EndpointFailover
    /// Where the session is.
    private var endpoint = ""
    /// Sessions in a row that got as far as a list and ended soon after it.
    private var shortSessions = 0
    var listedAt: ContinuousClock.Instant?

    /// - Parameters:
    ///   - renewMargin: less than the store's time to live.
    ///   - removalGrace: how long a peer's lease that is gone is kept, unless another stands in its way.
    public init(
        store: any SubnetStore, renewMargin: Duration, removalGrace: Duration = .seconds(3), logger: Logger
    ) {
        self.store = store
        self.renewMargin = renewMargin
        self.removalGrace = removalGrace
        self.logger = logger
        failover = EndpointFailover(configured: store.configuredEndpointCount, count: store.endpoints.count)
    }

    /// Endpoints are tried in turn, from the one that answered last.
    ///
    /// - Throws: `CancellationError` alone.
    public func run(claim: LeaseClaim, publish: @escaping @Sendable (RegistryUpdate) -> Void) async throws {
        self.claim = claim
        self.publish = publish
        retryAt = nil
        while true {
            try Task.checkCancellation()
            listedAt = nil
            // Members may have come to be known since.
            failover.resize(store.endpoints.count)
            endpoint = store.endpoints[failover.current]
            do {
                try await store.withSession(endpoint: failover.current) { session in
                    try await self.follow(session)
                }
            } catch let error as StoreError {
                try Task.checkCancellation()
                try await clock.sleep(for: waitAfter(error))
            }
        }
    }

    /// Notes a failure; says so when no endpoint is left that might work.
    private func waitAfter(_ error: StoreError) -> Duration {
        var generator = SystemRandomNumberGenerator()
        if let listedAt {
            shortSessions = clock.now - listedAt < .seconds(5) ? shortSessions + 1 : 0
            // It worked until now, so that this is the first failure of a new row.
            failover.succeeded()
        }
        var wait = failover.failed(error, using: &generator)
        if shortSessions > 1 {
            let calm = Backoff.wait(
                shortSessions - 2, first: EndpointFailover.firstWait, longest: failover.longestWait,
                using: &generator)
            wait = max(wait, calm)
        }
        if failover.allFailed {
            report(.unavailable(cause: failover.cause))
        } else {
            logger.debug("etcd endpoint failed, trying the next", metadata: ["cause": "\(error)"])
        }
        return wait
    }
}

// Publishing.
extension EtcdLeaseRegistry {
    /// Publishes a condition when it is new; logs it then and every few minutes while it lasts.
    func report(_ new: RegistryCondition) {
        let isNew = new != condition
        switch new {
        case .unavailable(let cause):
            if repeated.isDue(cause, at: clock.now) {
                saysUnavailable = true
                logger.warning("registry unavailable, the data plane stays as it is", metadata: ["cause": "\(cause)"])
            }
        case .configUnusable(let cause):
            if repeated.isDue(cause, at: clock.now) {
                saysUnavailable = true
                logger.error("the network config cannot be used", metadata: ["cause": "\(cause)"])
            }
        case .connected:
            if saysUnavailable {
                logger.notice("registry connected", metadata: ["endpoint": "\(endpoint)"])
            }
            saysUnavailable = false
        }
        guard isNew else { return }
        condition = new
        pending.condition = new
        flush()
    }

    /// Publishes what has piled up. The first update is held back until it is whole; only a condition may precede it.
    func flush(withRejections: Bool = true) {
        if withRejections, let leases {
            let rejections = leases.rejections
            if rejections != publishedRejections {
                logRejections(rejections)
                publishedRejections = rejections
                pending.rejections = rejections
            }
        }
        if isStarted || (pending.config != nil && pending.ownLease != nil) {
            guard !pending.isEmpty else { return }
            isStarted = true
            publish(pending)
            pending = RegistryUpdate()
        } else if let condition = pending.condition {
            publish(RegistryUpdate(condition: condition))
            pending.condition = nil
        }
    }

    private func logRejections(_ rejections: [LeaseRejection]) {
        let known = Set(publishedRejections)
        for rejection in rejections where !known.contains(rejection) {
            logger.warning(
                "lease ignored", metadata: ["key": "\(rejection.name.prefix(200))", "reason": "\(rejection.reason)"])
        }
    }
}

extension RegistryUpdate {
    fileprivate var isEmpty: Bool {
        config == nil && ownLease == nil && lostSubnets == nil && changes.isEmpty && rejections == nil
            && condition == nil
    }
}
