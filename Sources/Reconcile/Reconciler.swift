import Glibc
import KernelState
import LinuxSystem
import Logging
import Netlink

/// What a pass did.
public struct PassReport: Hashable, Sendable {
    /// Requests sent.
    public var requests = 0
    /// Requests that the kernel refused, by object, as text.
    public var failures: [ObjectKey: String] = [:]
    /// The kernel was read, and not just told of the difference.
    public var didRead = false

    public init() {}
}

/// How the kernel compares with what it should hold.
public struct ReconcilerStatus: Hashable, Sendable {
    /// The kernel holds all that is desired, but for `conflicts`.
    public var isSettled = false
    /// Objects that the kernel refuses, and why.
    public var failures: [ObjectKey: String] = [:]
    /// Destinations that are wanted where somebody else's route is; theirs was left alone.
    public var conflicts: [String: String] = [:]
    /// Why the kernel could not be read; `nil` when it could.
    public var readError: String?
    /// Passes that found others' changes to put right.
    public var repairs = 0
    /// Passes in all.
    public var passes = 0

    public init() {}
}

/// Keeps a kernel in the desired state: reads, compares, applies in one batch, and again when the desired state changes,
/// when the kernel says that something of Weft's was changed, when a refused object is due, and on a slow audit.
public actor Reconciler {
    private let kernel: any RouteNetlink
    private let settings: any InterfaceSettings
    private let logger: Logger
    private let auditInterval: Duration

    private var policy = OwnershipPolicy(interfaces: [], networks: [])
    private var state = TrackedState()
    private var table = InterfaceTable()
    private var retries = RetryTable()
    private var current = ReconcilerStatus()
    /// The kernel must be read before the next difference is computed.
    private var mustRead = true
    private var isExpectingDrift = true
    private var reportedFailures: [ObjectKey: String] = [:]
    private var reportedConflicts: [RouteKey: String] = [:]

    private let wake: AsyncStream<Void>.Continuation
    private let wakeups: AsyncStream<Void>
    private var settleWaiters: [CheckedContinuation<Void, Never>] = []

    /// - Parameter auditInterval: how often the kernel is read though nothing was heard of a change.
    public init(
        kernel: any RouteNetlink, settings: any InterfaceSettings = SysctlInterfaceSettings(), logger: Logger,
        auditInterval: Duration = .seconds(60)
    ) {
        self.kernel = kernel
        self.settings = settings
        self.logger = logger
        self.auditInterval = auditInterval
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public var status: ReconcilerStatus { current }

    // MARK: Input

    /// Puts a whole new desired state in the place of the last.
    public func setDesired(_ desired: DesiredState, policy: OwnershipPolicy) {
        self.policy = policy
        state.replaceDesired(desired)
        // What the kernel holds was read by the former policy and says nothing about the rest.
        mustRead = true
        isExpectingDrift = true
        wake.yield()
    }

    /// Follows a step of the desired state.
    public func update(_ change: DesiredChange) {
        state.apply(change)
        wake.yield()
    }

    /// Takes a notification of the kernel.
    public func note(_ event: NetlinkEvent) {
        let filter = DriftFilter(policy: policy, settings: settings)
        guard filter.concerns(event, state, &table) else { return }
        mustRead = true
        wake.yield()
    }

    /// Reads the kernel again, whatever is known.
    public func audit() {
        mustRead = true
        wake.yield()
    }

    // MARK: Running

    /// Runs passes until the task is cancelled.
    public func run() async {
        await withTaskGroup { group in
            group.addTask { await self.runPasses() }
            group.addTask {
                while (try? await Task.sleep(for: self.auditInterval)) != nil { await self.audit() }
            }
            await group.waitForAll()
        }
        resumeWaiters()
    }

    private func runPasses() async {
        // Repairs that follow on one another are a fight with somebody: each waits longer, up to a quarter of a second.
        var pause = Duration.milliseconds(2)
        var lastRepair = ContinuousClock.now
        for await _ in wakeups {
            if Task.isCancelled { return }
            if mustRead && current.passes > 0 {
                pause =
                    lastRepair.duration(to: .now) > .seconds(5) ? .milliseconds(2) : min(pause * 2, .milliseconds(250))
                guard (try? await Task.sleep(for: pause)) != nil else { return }
                lastRepair = .now
            }
            reconcile()
            scheduleRetry()
        }
    }

    private func scheduleRetry() {
        guard let next = retries.nextAttempt ?? (mustRead ? .now + .milliseconds(500) : nil) else { return }
        Task { [wake] in
            try? await Task.sleep(until: next)
            wake.yield()
        }
    }

    /// Waits until the kernel holds what is desired.
    public func settled() async {
        if current.isSettled { return }
        await withCheckedContinuation { settleWaiters.append($0) }
    }

    private func resumeWaiters() {
        for waiter in settleWaiters { waiter.resume() }
        settleWaiters = []
    }

    // MARK: A pass

    /// One pass: reads if it must, then applies the difference.
    @discardableResult
    public func reconcile() -> PassReport {
        var report = PassReport()
        current.passes += 1
        do throws(NetlinkError) {
            if mustRead {
                try read()
                report.didRead = true
            }
            try applyLinks(&report)
            try apply(&report) { $0.objectRequests(&$1) }
            current.readError = nil
        } catch {
            mustRead = true
            if current.readError == nil {
                logger.error("cannot read or change the kernel's network state", metadata: ["error": "\(error)"])
            }
            current.readError = "\(error)"
        }
        finish(report)
        return report
    }

    private func read() throws(NetlinkError) {
        retries.forgetDelays()
        let reader = KernelReader(kernel: kernel, policy: policy, settings: settings)
        table = try reader.readAll(into: &state)
        mustRead = false
        if !isExpectingDrift, !state.isSettled {
            current.repairs += 1
            var metadata: Logger.Metadata = [:]
            for (kind, count) in state.pendingCounts { metadata[kind] = "\(count)" }
            logger.notice("kernel state was changed by somebody else, putting it back", metadata: metadata)
        }
        isExpectingDrift = false
    }

    private func applyLinks(_ report: inout PassReport) throws(NetlinkError) {
        guard !state.links.pending.isEmpty else { return }
        try apply(&report) { planner, state in planner.linkRequests(state) }
        // New links have indices that only the kernel knows, and a link that was made anew is empty.
        let reader = KernelReader(kernel: kernel, policy: policy, settings: settings)
        table = try reader.readAll(into: &state)
        for case .known(let spec, _) in state.links.desiredValues {
            guard settings.acceptsRouterAdvertisements(spec.name) == !spec.acceptsRouterAdvertisements else { continue }
            do throws(SystemCallError) {
                try settings.setAcceptsRouterAdvertisements(spec.acceptsRouterAdvertisements, spec.name)
                state.links.noteDone(spec.name)
            } catch {
                logger.warning("cannot set accept_ra", metadata: ["interface": "\(spec.name)", "error": "\(error)"])
            }
        }
    }

    private func apply(
        _ report: inout PassReport, _ plan: (Planner, inout TrackedState) -> [PlannedRequest]
    ) throws(NetlinkError) {
        let now = ContinuousClock.now
        let planner = Planner(table: table) { [retries] in retries.isDue($0, now: now) }
        let planned = plan(planner, &state)
        guard !planned.isEmpty else { return }
        report.requests += planned.count
        let failed = try kernel.execute(planned.map(\.request))
        var failures: [Int: RequestFailure] = [:]
        for failure in failed { failures[failure.position] = failure }
        for (position, step) in planned.enumerated() {
            guard let failure = failures[position] else {
                retries.noteSuccess(step.object)
                state.noteDone(step.object, step.effect)
                continue
            }
            note(failure, of: step, &report, now)
        }
    }

    private func note(
        _ failure: RequestFailure, of step: PlannedRequest, _ report: inout PassReport, _ now: ContinuousClock.Instant
    ) {
        if step.effect == .clears, failure.isAbsence {
            // Most likely it is gone already; what else is not as believed, a reading shows.
            state.noteDone(step.object, .clears)
            mustRead = true
            return
        }
        if case .nexthop(let key) = step.object, step.effect == .sets { state.nexthops[key] = nil }
        // What was believed of the kernel does not hold: read it before the next try.
        mustRead = true
        report.failures[step.object] = "\(failure)"
        retries.noteFailure(step.object, error: "\(failure)", now: now)
    }

    private func finish(_ report: PassReport) {
        retries.keep { [state] in state.isPending($0) }
        current.failures = retries.entries.mapValues(\.error)
        current.conflicts = [:]
        for (key, route) in state.conflicts { current.conflicts["\(key.destination)"] = route }
        current.isSettled = !mustRead && current.readError == nil && state.isSettled
        logNews()
        if current.isSettled { resumeWaiters() }
    }

    /// Each failure and conflict is logged when it comes, and not again while it lasts.
    private func logNews() {
        for (object, error) in current.failures where reportedFailures[object] == nil {
            logger.error(
                "the kernel refused a change, trying again", metadata: ["object": "\(object)", "error": "\(error)"])
        }
        reportedFailures = current.failures
        for (key, route) in state.conflicts where reportedConflicts[key] != route {
            logger.warning(
                "somebody else's route is where a peer's should be; remove it, or change its metric, to reach the peer",
                metadata: ["destination": "\(key.destination)", "route": "\(route)"])
        }
        reportedConflicts = state.conflicts
    }
}

extension RequestFailure {
    /// The object that was to be removed is not there.
    fileprivate var isAbsence: Bool { [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL].contains(code) }
}

extension TrackedState {
    fileprivate func isPending(_ object: ObjectKey) -> Bool {
        switch object {
        case .link(let name): links.isPending(name)
        case .address(let key): addresses.isPending(key)
        // Where somebody else's route is, ours is not tried.
        case .route(let key): routes.isPending(key) && conflicts[key] == nil
        case .neighbour(let key): neighbours.isPending(key)
        case .fdb(let key): fdb.isPending(key)
        case .nexthop: false
        }
    }
}
