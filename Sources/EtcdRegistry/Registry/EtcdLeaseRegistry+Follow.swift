import Leases
import Logging

// One session: list, follow, and list again when the watch ends.
extension EtcdLeaseRegistry {
    /// - Throws: What ended the session.
    func follow(_ session: any SubnetSession) async throws {
        var generator = SystemRandomNumberGenerator()
        var shortWatches = 0
        while true {
            relistReason = nil
            let revision = try await list(session)
            let started = clock.now
            let reason = try await watch(session, after: revision)
            logger.info("listing leases again", metadata: ["reason": "\(reason)"])
            shortWatches = clock.now - started < .seconds(5) ? shortWatches + 1 : 0
            if shortWatches > 1 {
                try await clock.sleep(
                    for: Backoff.wait(
                        shortWatches - 2, first: .milliseconds(50), longest: .seconds(5), using: &generator))
            }
        }
    }

    /// Takes a snapshot and publishes the difference.
    ///
    /// - Returns: The snapshot's revision.
    private func list(_ session: any SubnetSession) async throws -> Int64 {
        // A host that had no subnet before will most likely create its lease.
        async let prepared: Void = prepareCreate(session)
        let snapshot = try await session.snapshot()
        await prepared
        readConfig(snapshot.config)
        guard let config else { return snapshot.revision }
        if leases == nil {
            var set = LeaseSet(config: config.value)
            _ = set.setOwn(key: own?.key, publicIP: claim.publicIP, publicIPv6: claim.publicIPv6)
            leases = set
        }
        let graceEnd = clock.now + removalGrace
        change { $0.replaceAll(snapshot.leases, keepingMissingUntil: graceEnd) }
        seenRevision = snapshot.revision
        // Peers don't wait for our own lease, which perhaps can't be written. Until it is known, though, a lease with
        // this host's PublicIP would pass for somebody else's.
        flush(withRejections: own != nil)
        return snapshot.revision
    }

    /// Sees to this host's lease after a list.
    private func settle(_ session: any SubnetSession) async throws {
        if config == nil {
            await session.discardPrepared()
        } else {
            try await settleOwn(session)
            if own?.isConfirmed == true { report(.connected) }
            if own != nil || isFull || retryAt != nil { await session.discardPrepared() }
            flush()
        }
        listedAt = listedAt ?? clock.now
    }

    private func prepareCreate(_ session: any SubnetSession) async {
        guard own == nil, claim.previous == nil, !isFull, retryAt == nil else { return }
        await session.prepareCreate()
    }

    /// Changes the set of leases; the difference is published.
    func change(_ body: (inout LeaseSet) -> LeaseChanges) {
        guard var set = leases else { return }
        // Held once, so that a change copies nothing.
        leases = nil
        pending.changes.merge(body(&set))
        leases = set
    }

    /// Sees to this host's lease and follows what changes.
    ///
    /// The watch is opened first: etcd tells a watch at once of what is written after it is there, and of what was written
    /// before only when it next looks for such watches, every 100 ms. A lease of two families waits for that word.
    ///
    /// - Returns: Why a new list is needed.
    private func watch(_ session: any SubnetSession, after revision: Int64) async throws -> String {
        let (stream, continuation) = AsyncStream.makeStream(of: RegistryInput.self)
        return try await withThrowingDiscardingTaskGroup { group in
            defer { group.cancelAll() }
            group.addTask {
                do throws(StoreError) {
                    let end = try await session.watch(after: revision) { continuation.yield(.events($0)) }
                    continuation.yield(.ended(end))
                } catch {
                    continuation.yield(.failed(error))
                }
            }
            try await settle(session)
            if let relistReason { return relistReason }
            var alarm = Alarm()
            alarm.set(nextDeadline) { continuation.yield(.deadline($0)) }
            for await input in stream {
                switch input {
                case .events(let events): try await apply(events, session)
                case .deadline(let instant):
                    guard alarm.accepts(instant) else { continue }
                    try await meetDeadlines(session)
                case .ended(.compacted): relistReason = "the history was compacted"
                case .ended(.cancelled(let reason)): relistReason = "the server ended the watch: \(reason)"
                case .failed(let error): throw error
                }
                flush()
                if let relistReason { return relistReason }
                alarm.set(nextDeadline) { continuation.yield(.deadline($0)) }
            }
            throw CancellationError()
        }
    }

    private var nextDeadline: ContinuousClock.Instant? {
        [own?.renewAt, rewrite.at, retryAt, leases?.nextDeparture].compactMap { $0 }.min()
    }

    private func apply(_ events: [SubnetEvent], _ session: any SubnetSession) async throws {
        var mayBeFree = false
        var hasNewConfig = false
        for event in events {
            switch event {
            case .config(let text):
                hasNewConfig = true
                try await configChanged(text, session)
            case .put(let record):
                seenRevision = max(seenRevision, record.modRevision)
                guard let leases, isNews(record.name, record.modRevision, leases) else { continue }
                if record.name == own?.record.name {
                    try await ownRecordChanged(record, session)
                    try await publishAttributes(session)
                } else {
                    change { $0.put(record) }
                }
            case .removed(let name, let revision):
                seenRevision = max(seenRevision, revision)
                guard let leases, isNews(name, revision, leases) else { continue }
                let graceEnd = clock.now + removalGrace
                change { $0.remove(name: name, keepingUntil: graceEnd) }
                mayBeFree = true
                if name == own?.record.name { try await reclaim(session) }
            }
        }
        try await checkOwn(session)
        guard hasNewConfig ? isFull || retryAt != nil : mayBeFree && isFull, relistReason == nil else { return }
        if own == nil {
            try await acquire(session)
            if own == nil { await session.discardPrepared() }
        } else {
            isFull = false
            try await publishAttributes(session)
        }
    }

    /// Answers to our own writes tell of changes before the watch does.
    private func isNews(_ name: String, _ revision: Int64, _ leases: LeaseSet) -> Bool {
        if let own, own.record.name == name { return revision > own.record.modRevision }
        return leases.record(named: name).map { revision > $0.modRevision } ?? true
    }
}
