import IPNetwork
import Logging
import Synchronization

/// Keeps the host's firewall as the newest ``Ruleset`` wants it.
///
/// A check reads the rules and writes only when they differ, so a check that its own writes caused ends there.
public actor FirewallKeeper {
    /// What the keeper knows now.
    public private(set) var status = FirewallStatus()

    private let resync: Duration
    private let logger: Logger
    private var preference: FirewallPreference
    private var ruleset: Ruleset?
    private var applier: FirewallApplier

    /// Checks run one at a time; whoever asks while one runs gets one that begins afterwards.
    private var isChecking = false
    private var requestedChecks: UInt64 = 0
    private var finishedChecks: UInt64 = 0
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// The next check that writes is because of a new ruleset, and no repair.
    private var isChanged = false
    private var failures = 0
    private var lastDuration = Duration.zero
    /// Repairs in a row, with no check between them that found all well after ``quietPeriod``.
    private var repairsInARow = 0
    private var lastRepair: ContinuousClock.Instant?
    private var loggedCondition = FirewallCondition.idle
    private var loggedNotices: Set<FirewallFinding> = []

    private let isNoted = Atomic<Bool>(false)
    private let notes: AsyncStream<Void>
    private let noteContinuation: AsyncStream<Void>.Continuation

    /// How long notifications are collected before a check: a restart of Docker makes hundreds.
    private static let coalescing = Duration.milliseconds(20)
    private static let longestDelay = Duration.seconds(10)
    private static let quietPeriod = Duration.seconds(30)
    /// Repairs in a row from which on another program is named as the cause.
    private static let manyRepairs = 5

    /// - Parameters:
    ///   - preference: how the plane is chosen until ``update(_:preference:)`` says otherwise.
    ///   - resync: the time between two checks while all is well; zero for none (`--iptables-resync`).
    public init(
        preference: FirewallPreference = .automatic, resync: Duration = .seconds(5),
        runner: any CommandRunner = SubprocessRunner(), hostTables: HostTables = HostTables(), logger: Logger
    ) {
        self.preference = preference
        self.resync = resync
        self.logger = logger
        applier = FirewallApplier(runner: runner, hostTables: hostTables)
        (notes, noteContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes over a new ruleset and applies it; works before ``run()`` too.
    ///
    /// - Parameter preference: how the plane is chosen from now on; `nil` leaves it as it is.
    /// - Returns: the state afterwards. A failure is in it and is retried by ``run()``.
    @discardableResult
    public func update(_ ruleset: Ruleset, preference: FirewallPreference? = nil) async -> FirewallStatus {
        let preference = preference ?? self.preference
        if ruleset != self.ruleset || preference != self.preference {
            isChanged = true
            status.isApplied = false
        }
        self.ruleset = ruleset
        self.preference = preference
        return await check()
    }

    /// Compares the kernel's rules with the ruleset now and puts right what differs.
    @discardableResult
    public func check() async -> FirewallStatus {
        requestedChecks += 1
        let request = requestedChecks
        while finishedChecks < request {
            if isChecking {
                await withCheckedContinuation { waiters.append($0) }
                continue
            }
            isChecking = true
            let covered = requestedChecks
            await performCheck()
            finishedChecks = covered
            endExclusive()
        }
        return status
    }

    /// Tells that some firewall rule changed; a check follows soon, if ``run()`` runs. Cheap, so every notification
    /// may be passed on.
    public nonisolated func noteChange() {
        if !isNoted.exchange(true, ordering: .acquiringAndReleasing) { noteContinuation.yield() }
    }

    /// Checks on ``noteChange()``, regularly, and after a failure, until the task is cancelled. Call it once.
    /// The rules stay in place afterwards.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.checkOnNotes() }
            if resync > .zero { group.addTask { await self.checkRegularly() } }
            await group.waitForAll()
        }
    }

    /// Removes every rule in flannel's chains and tables from every plane, and the chains and tables that hold none then;
    /// forgets the ruleset. Needs no ruleset before.
    ///
    /// Rules that a stock flannel v0.11 keeps in the system's own chains are left as they are.
    ///
    /// - Parameter kept: networks whose rules stay.
    /// - Returns: how many commands changed the kernel's rules.
    /// - Throws: ``FirewallError``, the first; what could be removed is removed all the same.
    @discardableResult
    public func removeEverything(keeping kept: [IPPrefix] = []) async throws(FirewallError) -> Int {
        while isChecking { await withCheckedContinuation { waiters.append($0) } }
        isChecking = true
        var applier = applier
        let outcome = await applier.removeEverything(keeping: kept)
        self.applier = applier
        ruleset = nil
        status.condition = .idle
        status.isApplied = false
        status.writes += outcome.writes
        endExclusive()
        if let error = outcome.error { throw error }
        return outcome.writes
    }

    private func endExclusive() {
        isChecking = false
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.resume() }
    }

    private func checkOnNotes() async {
        for await _ in notes {
            try? await Task.sleep(for: delay)
            // Cleared before the check: what changes while it reads must cause another.
            isNoted.store(false, ordering: .sequentiallyConsistent)
            if Task.isCancelled { return }
            await check()
        }
    }

    private func checkRegularly() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: resync)
            // After a failure the retry is already on its way, later each time.
            if failures == 0, !Task.isCancelled { await check() }
        }
    }

    /// The pause before a check: short, unless commands fail or another program undoes each repair. Against such a
    /// program an immediate answer would be a race that takes the whole processor.
    private var delay: Duration {
        let doublings = max(failures, repairsInARow - 2)
        // Never more than a fifth of a processor: a host with tens of thousands of rules takes long to read.
        if doublings <= 0 { return min(Self.longestDelay, max(Self.coalescing, lastDuration * 4)) }
        return min(Self.longestDelay, .milliseconds(100) * (1 << min(doublings, 10)))
    }

    private func performCheck() async {
        guard let ruleset else { return }
        let isChange = isChanged
        isChanged = false
        var applier = applier
        let start = ContinuousClock.now
        let outcome = await applier.apply(ruleset, preference)
        lastDuration = .now - start
        self.applier = applier
        status.writes += outcome.writes
        // A command that was stopped because the daemon stops says nothing about the firewall.
        if outcome.error != nil, Task.isCancelled { return }

        status.plane = outcome.plane
        let isRepair = outcome.writes > 0 && !isChange && status.isApplied
        countRepair(isRepair)
        if let error = outcome.error {
            failures += 1
            isChanged = isChanged || isChange
            status.condition = .failing(cause: error.cause, remedy: error.remedy)
            status.isApplied = false
            noteChange()
        } else {
            failures = 0
            let findings = outcome.findings + repeatedRepair
            status.condition = findings.isEmpty ? .ok : .findings(findings)
            // A ruleset that arrived during the pass is not in place yet; the check for it is already asked for.
            status.isApplied = !isChanged
        }
        log(outcome, isRepair: isRepair)
    }

    private func countRepair(_ isRepair: Bool) {
        let now = ContinuousClock.now
        if let lastRepair, lastRepair.duration(to: now) > Self.quietPeriod { repairsInARow = 0 }
        guard isRepair else { return }
        repairsInARow += 1
        lastRepair = now
        status.repairs += 1
    }

    private var repeatedRepair: [FirewallFinding] {
        guard repairsInARow >= Self.manyRepairs else { return [] }
        return [
            FirewallFinding(
                summary: "another program keeps changing Weft's firewall rules or putting its own before them",
                remedy: "find it with `nft monitor` or `iptables-save`, and let it leave FLANNEL-* and flannel-* alone")
        ]
    }

    /// One line for a change of the rules, one for a new condition, none for a check that found all well.
    private func log(_ outcome: FirewallApplier.Outcome, isRepair: Bool) {
        let plane = outcome.plane?.rawValue ?? "none"
        if outcome.writes > 0, repairsInARow <= Self.manyRepairs {
            logger.info(
                isRepair ? "Firewall rules were changed by another program; put back" : "Firewall rules set",
                metadata: ["plane": "\(plane)", "writes": "\(outcome.writes)"])
        }
        for notice in outcome.notices where loggedNotices.insert(notice).inserted {
            logger.notice("\(notice.summary)", metadata: ["remedy": "\(notice.remedy)"])
        }
        guard status.condition != loggedCondition else { return }
        switch status.condition {
        case .idle: break
        case .ok:
            if case .idle = loggedCondition { break }
            logger.info("Firewall is in order", metadata: ["plane": "\(plane)"])
        case .findings(let findings):
            for finding in findings {
                logger.warning("\(finding.summary)", metadata: ["remedy": "\(finding.remedy)"])
            }
        case .failing(let cause, let remedy):
            logger.error("Firewall rules could not be set: \(cause)", metadata: ["remedy": "\(remedy)"])
        }
        loggedCondition = status.condition
    }
}
