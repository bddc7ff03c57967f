import EtcdRegistry
import Leases
import Synchronization

/// A registry in memory, with faults on demand. The conformance suite holds it to what etcd does.
final class MemoryStore: SubnetStore {
    struct State {
        var revision: Int64 = 1
        var config: [UInt8]?
        var records: [String: LeaseRecord] = [:]
        var history: [(revision: Int64, event: SubnetEvent)] = []
        var watches: [Int: Watch] = [:]
        var nextWatch = 0
        // Faults.
        var isUnavailable = false
        /// Left by a preparation and not used nor discarded.
        var isPrepared = false
        /// How many of the next creates lose to another host.
        var rivals = 0
        var duplicatesEvents = false
        /// As with etcd v2's refresh: watchers are not told, and the revision is another.
        var renewalsChangeRevision = false
        var losesAnswerOfNextCreate = false
        /// A create is not carried out before a watch is there.
        var createsWaitForWatch = false
        var losesAnswerOfNextWrite = false
        /// How many of the next renewals.
        var lostAnswersOfRenewals = 0
        /// Every write fails so; reads and the watch work.
        var writesFail: StoreError?
        /// What another does right after the next snapshot.
        var afterSnapshot: (@Sendable (inout State) -> Void)?
        // What was asked for.
        var sessions = 0
        var snapshots = 0
        var creates = 0
        var writes = 0
        var renewals = 0
    }

    struct Watch {
        let handle: @Sendable ([SubnetEvent]) -> Void
        let end: AsyncStream<Result<WatchEnd, StoreError>>.Continuation
    }

    let endpoints: [String]
    let configKey = "/memory/config"
    let configCommand = "put /memory/config"
    let leaseTimeToLive: Duration
    let state = Mutex(State())

    init(endpoints: [String] = ["memory"], leaseTimeToLive: Duration = .seconds(86400)) {
        self.endpoints = endpoints
        self.leaseTimeToLive = leaseTimeToLive
    }

    func withSession(endpoint: Int, _ body: @Sendable (any SubnetSession) async throws -> Void) async throws {
        try state.withLock {
            $0.sessions += 1
            if $0.isUnavailable { throw StoreError(.unavailable, cause: "\(endpoints[endpoint]): connection refused") }
        }
        try await body(MemorySession(store: self))
    }
}

// What other hosts and operators do.
extension MemoryStore {
    func setConfig(_ text: String?) {
        state.withLock {
            $0.revision += 1
            $0.config = text.map { [UInt8]($0.utf8) }
            $0.emit(.config($0.config))
        }
    }

    func put(_ name: String, _ value: String, isReservation: Bool = false) {
        state.withLock { _ = $0.put(name, [UInt8](value.utf8), isReservation: isReservation) }
    }

    func remove(_ name: String) { state.withLock { $0.remove(name) } }

    func endWatches(_ end: Result<WatchEnd, StoreError>) {
        state.withLock {
            for watch in $0.watches.values { watch.end.yield(end) }
            $0.watches = [:]
        }
    }

    /// Nothing works and every watch breaks, until it is set to `false`.
    func setUnavailable(_ isUnavailable: Bool) {
        state.withLock { $0.isUnavailable = isUnavailable }
        if isUnavailable { endWatches(.failure(StoreError(.unavailable, cause: "memory: connection reset"))) }
    }

    /// As after a restore from a backup: other records, an older revision.
    func restore(_ records: [LeaseRecord], revision: Int64) {
        endWatches(.failure(StoreError(.unavailable, cause: "memory: connection reset")))
        state.withLock {
            $0.records = Dictionary(uniqueKeysWithValues: records.map { ($0.name, $0) })
            $0.revision = revision
            $0.history = []
        }
    }

    var records: [String: LeaseRecord] { state.withLock { $0.records } }
}

extension MemoryStore.State {
    mutating func emit(_ event: SubnetEvent) {
        history.append((revision, event))
        for watch in watches.values {
            watch.handle([event])
            if duplicatesEvents { watch.handle([event]) }
        }
    }

    mutating func put(_ name: String, _ value: [UInt8], isReservation: Bool) -> LeaseRecord {
        revision += 1
        let record = LeaseRecord(
            name: name, value: value, createRevision: records[name]?.createRevision ?? revision, modRevision: revision,
            isReservation: isReservation)
        records[name] = record
        emit(.put(record))
        return record
    }

    mutating func remove(_ name: String) {
        revision += 1
        guard records.removeValue(forKey: name) != nil else { return }
        emit(.removed(name: name, revision: revision))
    }
}

struct MemorySession: SubnetSession {
    let store: MemoryStore

    private func access<Answer: Sendable>(
        _ body: (inout sending MemoryStore.State) throws(StoreError) -> sending Answer
    ) throws(StoreError) -> Answer {
        try store.state.withLock { state throws(StoreError) in
            if state.isUnavailable { throw StoreError(.unavailable, cause: "memory: connection refused") }
            return try body(&state)
        }
    }

    func snapshot() async throws(StoreError) -> SubnetSnapshot {
        try access { state throws(StoreError) in
            state.snapshots += 1
            let snapshot = SubnetSnapshot(
                config: state.config, leases: state.records.values.sorted { $0.name < $1.name },
                revision: state.revision)
            let act = state.afterSnapshot
            state.afterSnapshot = nil
            act?(&state)
            return snapshot
        }
    }

    func watch(
        after revision: Int64, _ handle: @escaping @Sendable ([SubnetEvent]) -> Void
    ) async throws(StoreError) -> WatchEnd {
        let (stream, continuation) = AsyncStream.makeStream(of: Result<WatchEnd, StoreError>.self)
        let id = try access { state throws(StoreError) in
            for entry in state.history where entry.revision > revision { handle([entry.event]) }
            state.nextWatch += 1
            state.watches[state.nextWatch] = MemoryStore.Watch(handle: handle, end: continuation)
            return state.nextWatch
        }
        defer { store.state.withLock { $0.watches[id] = nil } }
        for await end in stream { return try end.get() }
        throw StoreError(.cancelled, cause: "cancelled")
    }

    func prepareCreate() async { store.state.withLock { $0.isPrepared = true } }
    func discardPrepared() async { store.state.withLock { $0.isPrepared = false } }

    func create(name: String, value: [UInt8]) async throws(StoreError) -> CreateOutcome {
        let isReady = await until { $0.state.withLock { !$0.createsWaitForWatch || !$0.watches.isEmpty } }
        guard isReady else { throw StoreError(.refused, cause: "memory: no watch was opened before the create") }
        return try access { state throws(StoreError) in
            state.creates += 1
            if let failure = state.writesFail { throw failure }
            if state.rivals > 0 {
                state.rivals -= 1
                let rival = #"{"PublicIP":"172.30.1.\#(state.rivals)","BackendType":"vxlan"}"#
                _ = state.put(name, Array(rival.utf8), isReservation: false)
            }
            if let taken = state.records[name] { return .taken(taken) }
            let record = state.put(name, value, isReservation: false)
            state.isPrepared = false
            if state.losesAnswerOfNextCreate {
                state.losesAnswerOfNextCreate = false
                throw StoreError(.timedOut, cause: "memory: no answer in time")
            }
            return .created(record)
        }
    }

    private func until(_ condition: (MemoryStore) -> Bool) async -> Bool {
        for _ in 0..<1000 {
            if condition(store) { return true }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { return false }
        }
        return false
    }

    func replace(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome {
        try access { state throws(StoreError) in
            if let failure = state.writesFail { throw failure }
            let current = state.records[record.name]
            guard current?.modRevision == record.modRevision else { return .changed(current) }
            state.writes += 1
            let written = state.put(record.name, value, isReservation: record.isReservation)
            if state.losesAnswerOfNextWrite {
                state.losesAnswerOfNextWrite = false
                throw StoreError(.timedOut, cause: "memory: no answer in time")
            }
            return .written(written)
        }
    }

    func takeOver(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome {
        try access { $0.isPrepared = false }
        return try await replace(record, value: value)
    }

    func delete(_ record: LeaseRecord) async throws(StoreError) -> Bool {
        try access { state throws(StoreError) in
            if let failure = state.writesFail { throw failure }
            guard let current = state.records[record.name] else { return true }
            guard current.modRevision == record.modRevision else { return false }
            state.remove(record.name)
            return true
        }
    }

    func renew(_ record: LeaseRecord) async throws(StoreError) -> RenewOutcome {
        try access { state throws(StoreError) in
            let current = state.records[record.name]
            guard current?.modRevision == record.modRevision else { return .changed(current) }
            if record.isReservation { return .reservation }
            state.renewals += 1
            guard state.renewalsChangeRevision else { return .renewed(record, timeToLive: store.leaseTimeToLive) }
            state.revision += 1
            let renewed = LeaseRecord(
                name: record.name, value: record.value, createRevision: record.createRevision,
                modRevision: state.revision, isReservation: false)
            state.records[record.name] = renewed
            if state.lostAnswersOfRenewals > 0 {
                state.lostAnswersOfRenewals -= 1
                throw StoreError(.timedOut, cause: "memory: no answer in time")
            }
            return .renewed(renewed, timeToLive: store.leaseTimeToLive)
        }
    }
}
