import Glibc
import KernelState
import LinuxSystem
import Logging
import Netlink

/// How the kernel compares with what it should hold.
public struct ReconcilerStatus: Hashable, Sendable {
    /// The kernel holds all that is desired, but for `conflicts`.
    public var isSettled = false
    /// All that can be done is done: this host's own objects are as they should be, and of the peers' each that is missing
    /// was tried and refused.
    public var isApplied = false
    /// How many wanted objects are missing or different.
    public var pendingCount = 0
    /// This host's own objects that the kernel refuses, and why.
    public var hostFailures: [String] = []
    /// Peers' objects that the kernel refuses, and why.
    public var peerFailures: [String] = []
    /// Destinations that are wanted where somebody else's route is; theirs was left alone.
    public var conflicts: [String: String] = [:]
    /// Why the kernel could not be read; `nil` when it could.
    public var readError: String?
    /// Passes in a row that found others' changes to put right, each within seconds of the last.
    public var repairsInARow = 0
    /// Passes in all.
    public var passes = 0

    /// The state before the first pass: nothing is settled.
    public init() {}
}

/// Keeps a kernel in the desired state: reads, compares, applies in one batch, and again when the desired state changes,
/// when the kernel says that something of Weft's was changed, when a refused object is due, and on a slow audit.
public actor Reconciler {
    private let kernel: any RouteNetlink
    let fou: any FOUNetlink
    private let settings: any InterfaceSettings
    private let logger: Logger
    private let auditInterval: Duration

    var policy = OwnershipPolicy(interfaces: [], networks: [])
    var state = TrackedState()
    /// Interfaces that are to have an IPv6 address.
    private var ipv6Interfaces: Set<InterfaceName> = []
    /// Interfaces on which the kernel is to check sources.
    private var checkedInterfaces: Set<InterfaceName> = []
    private var table = InterfaceTable()
    var retries = RetryTable()
    private var current = ReconcilerStatus()
    /// The kernel must be read before the next difference is computed.
    var mustRead = true
    private var isExpectingDrift = true
    private var reportedFailures: Set<ObjectKey> = []
    private var unsettable: Set<String> = []
    private var lastRepair: ContinuousClock.Instant?
    private var lastFightReport: ContinuousClock.Instant?
    private var retryTask: Task<Void, Never>?

    /// Repairs in a row from which on another program is named as the cause.
    private static let fightThreshold = 5
    private var reportedConflicts: [RouteKey: String] = [:]

    private let wake: AsyncStream<Void>.Continuation
    private let wakeups: AsyncStream<Void>

    /// - Parameter auditInterval: how often the kernel is read though nothing was heard of a change.
    public init(
        kernel: any RouteNetlink, fou: any FOUNetlink = FOUSocket(),
        settings: any InterfaceSettings = SysctlInterfaceSettings(), logger: Logger,
        auditInterval: Duration = .seconds(60)
    ) {
        self.kernel = kernel
        self.fou = fou
        self.settings = settings
        self.logger = logger
        self.auditInterval = auditInterval
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// As of the last pass.
    public var status: ReconcilerStatus { current }

    // MARK: Input

    /// Puts a whole new desired state in the place of the last.
    public func setDesired(_ desired: DesiredState, policy: OwnershipPolicy) {
        // What was ours by the former policy stays ours, so that what is of no more use is removed: the device of another
        // VNI, the routes into another network.
        self.policy = OwnershipPolicy(
            interfaces: policy.interfaces.union(self.policy.interfaces),
            networks: Array(Set(policy.networks + self.policy.networks)),
            fouPorts: policy.fouPorts.union(self.policy.fouPorts))
        state.replaceDesired(desired)
        checkedInterfaces = desired.checkedInterfaces
        ipv6Interfaces = Set(desired.addresses.lazy.filter(\.address.isIPv6).map(\.interface))
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
        let filter = DriftFilter(policy: policy)
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
            group.addTask { await self.watchFOUPorts() }
            group.addTask {
                while (try? await Task.sleep(for: self.auditInterval)) != nil { await self.audit() }
            }
            await group.waitForAll()
        }
        retryTask?.cancel()
    }

    private func runPasses() async {
        for await _ in wakeups {
            if Task.isCancelled { return }
            if mustRead && current.passes > 0 {
                guard (try? await Task.sleep(for: pauseBeforeReading)) != nil else { return }
            }
            reconcile()
            scheduleRetry()
        }
    }

    /// Notifications come in bursts, of which one reading is enough. In a fight with somebody each reading waits longer, up
    /// to a quarter of a second.
    private var pauseBeforeReading: Duration {
        min(.milliseconds(2) * (1 << min(current.repairsInARow, 7)), .milliseconds(250))
    }

    private func scheduleRetry() {
        let candidates = [retries.nextAttempt, mustRead ? .now + .milliseconds(500) : nil].compactMap { $0 }
        retryTask?.cancel()
        guard let next = candidates.min() else { return }
        retryTask = Task { [wake] in
            guard (try? await Task.sleep(until: max(next, .now + .milliseconds(20)))) != nil else { return }
            wake.yield()
        }
    }

    // MARK: A pass

    /// One pass: reads if it must, then applies the difference.
    @discardableResult
    public func reconcile() -> PassReport {
        var report = PassReport()
        current.passes += 1
        // A link is never changed on belief alone.
        if !state.links.pending.isEmpty { mustRead = true }
        do throws(NetlinkError) {
            if mustRead { try read(&report) }
            try apply(&report) { $0.objectRequests(&$1) }
            removeFOUPorts(&report)
            current.readError = nil
        } catch {
            mustRead = true
            if current.readError == nil {
                logger.error("cannot read or change the kernel's network state", metadata: ["error": "\(error)"])
            }
            current.readError = "\(error)"
            report.error = current.readError
        }
        finish(report)
        return report
    }

    /// Reads the kernel, and puts the links right before what is on them is read.
    private func read(_ report: inout PassReport) throws(NetlinkError) {
        retries.forgetDelays()
        let before = isExpectingDrift ? [] : state.pendingObjects
        try readFOUPorts()
        let ports = isExpectingDrift ? [] : state.pendingObjects
        putFOUPorts(&report)
        let reader = KernelReader(kernel: kernel, policy: policy)
        table = try reader.readLinks(into: &state, after: table)
        let links = isExpectingDrift ? [] : state.pendingObjects.union(ports)
        try applyLinks(&report, reader)
        try reader.readObjects(into: &state, table)
        mustRead = false
        report.didRead = true
        if !isExpectingDrift { noteDrift(links.union(state.pendingObjects).subtracting(before)) }
        isExpectingDrift = false
    }

    private func noteDrift(_ drift: Set<ObjectKey>) {
        guard !drift.isEmpty else { return }
        let now = ContinuousClock.now
        let isRow = lastRepair.map { now - $0 < .seconds(5) } ?? false
        current.repairsInARow = isRow ? current.repairsInARow + 1 : 1
        lastRepair = now
        let metadata: Logger.Metadata = Dictionary(grouping: drift, by: \.kind).mapValues { "\($0.count)" }
        if current.repairsInARow < Self.fightThreshold {
            logger.notice("kernel state was changed by somebody else, putting it back", metadata: metadata)
        } else if lastFightReport.map({ now - $0 > .seconds(60) }) ?? true {
            lastFightReport = now
            logger.warning(
                "another program keeps undoing the network state; find it (NetworkManager, systemd-networkd, a second flanneld)",
                metadata: metadata)
        }
    }

    private func applyLinks(_ report: inout PassReport, _ reader: KernelReader) throws(NetlinkError) {
        // A link that was renamed or made anew may need a second step.
        for _ in 0..<2 where !state.links.pending.isEmpty {
            let before = report.requests
            try apply(&report) { planner, state in planner.linkRequests(state) }
            makeTuns(&report)
            guard report.requests > before else { break }
            // New links have indices that only the kernel knows.
            table = try reader.readLinks(into: &state, after: table)
        }
        for case .known(let spec, _) in state.links.desiredValues where table.indices[spec.name] != nil {
            set("accept_ra to 0, router advertisements on the overlay would be followed", on: spec.name) {
                () throws(SystemCallError) in try settings.refuseRouterAdvertisements(spec.name)
            }
            if case .fouTunnel = spec.kind {
                let isChecked = checkedInterfaces.contains(spec.name)
                set("rp_filter, the sources of the overlay's packets are not checked as PeerCheck says", on: spec.name)
                {
                    () throws(SystemCallError) in try settings.checkSources(spec.name, isChecked)
                }
            }
            if ipv6Interfaces.contains(spec.name) {
                set("disable_ipv6 to 0, the overlay's interface takes no IPv6 address", on: spec.name) {
                    () throws(SystemCallError) in try settings.enableIPv6(spec.name)
                }
            }
        }
    }

    private func makeTuns(_ report: inout PassReport) {
        let now = ContinuousClock.now
        for name in state.links.pending.sorted() where retries.isDue(.link(name), now: now) {
            let made: InterfaceName
            switch state.links.step(for: name) {
            case .add(.known(let spec, _))? where spec.kind == .tun && state.renamed[name] == nil: made = name
            case .change(let held, .known(let spec, _))? where spec.kind == .tun && !held.isTun:
                guard state.standbys[name] == nil, let standby = spec.standbyName else { continue }
                made = standby
            default: continue
            }
            report.requests += 1
            do throws(SystemCallError) {
                try settings.makeTun(made)
                retries.noteSuccess(.link(name))
            } catch {
                report.failures[.link(name)] = "\(error)"
                retries.noteFailure(.link(name), error: "\(error)", isSurprise: false, now: now)
            }
        }
    }

    /// What cannot be set is said once.
    private func set(_ what: String, on interface: InterfaceName, _ body: () throws(SystemCallError) -> Void) {
        do throws(SystemCallError) {
            try body()
        } catch {
            guard unsettable.insert("\(interface) \(what)").inserted else { return }
            logger.warning("cannot set \(what)", metadata: ["interface": "\(interface)", "error": "\(error)"])
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
        if step.effect != .sets, failure.isAbsence {
            // Most likely it is gone already; what else is not as believed, a reading shows.
            state.noteDone(step.object, step.effect)
            mustRead = true
            return
        }
        if case .nexthop(let key) = step.object, step.effect == .sets { state.nexthops[key] = nil }
        // What was believed of the kernel does not hold: read it before the next try.
        if failure.isSurprise { mustRead = true }
        report.failures[step.object] = "\(failure)"
        retries.noteFailure(step.object, error: "\(failure)", isSurprise: failure.isSurprise, now: now)
    }

    private func finish(_ report: PassReport) {
        let pending = state.pendingObjects
        // What cannot be tried at the moment waits for a notification, not for a time.
        retries.keep { [state, table] in pending.contains($0) && state.canTry($0, table) }
        current.hostFailures = retries.entries.filter(\.key.isHosts).map(\.value.error).sorted()
        current.peerFailures = retries.entries.filter { !$0.key.isHosts }.map(\.value.error).sorted()
        current.conflicts = [:]
        for (key, route) in state.conflicts { current.conflicts["\(key.destination)"] = route }
        current.pendingCount = pending.count
        current.isSettled = !mustRead && current.readError == nil && pending.isEmpty
        current.isApplied =
            current.readError == nil && state.isHostSettled && pending.allSatisfy { retries.entries[$0] != nil }
        logNews()
    }

    /// Each failure and conflict is logged when it comes, and not again while it lasts; of many at once the first few.
    private func logNews() {
        let failures = retries.persistent
        let news = failures.filter { !reportedFailures.contains($0.key) }
        if !news.isEmpty {
            let errors = news.map(\.value.error).sorted()
            logger.error(
                "the kernel refused changes, trying again",
                metadata: ["count": "\(errors.count)", "error": "\(errors.prefix(3).joined(separator: "; "))"])
        }
        reportedFailures = Set(failures.keys)
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

    /// The kernel does not hold what it was believed to hold.
    fileprivate var isSurprise: Bool { [EEXIST, ENOENT, ESRCH, ENODEV].contains(code) }
}

extension ObjectKey {
    fileprivate var kind: String {
        switch self {
        case .link: "links"
        case .address: "addresses"
        case .route, .blackhole: "routes"
        case .neighbour: "neighbours"
        case .fdb: "fdb"
        case .nexthop: "nexthops"
        case .fouPort: "fou-ports"
        }
    }

    /// There for the host itself and not for the sake of one peer.
    fileprivate var isHosts: Bool {
        switch self {
        case .link, .address, .blackhole, .fouPort: true
        case .route, .neighbour, .fdb, .nexthop: false
        }
    }
}
