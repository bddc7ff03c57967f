import EtcdRegistry
import Leases
import Synchronization

/// The time of a test, which only the test moves.
final class TestClock: Sendable {
    private let instant = Mutex(ContinuousClock.now)
    var now: ContinuousClock.Instant { instant.withLock { $0 } }
    func advance(_ duration: Duration) { instant.withLock { $0 += duration } }
}

/// Ends the migration at a write.
final class Faults: Sendable {
    struct State {
        var writes = 0
        var fatalWrite: Int?
        /// Whether the fatal write reaches the registry, and only its answer does not come.
        var isDone = false
    }

    let state = Mutex(State())

    func reset(fatalWrite: Int?, isDone: Bool) {
        state.withLock { $0 = State(fatalWrite: fatalWrite, isDone: isDone) }
    }

    func write<Answer>(_ body: () -> Answer) throws(StoreError) -> Answer {
        let fate: (before: Bool, after: Bool) = state.withLock { state in
            defer { state.writes += 1 }
            guard state.writes == state.fatalWrite else { return (false, false) }
            return (!state.isDone, state.isDone)
        }
        if fate.before { throw StoreError(.refused, cause: "killed before the write") }
        let answer = body()
        if fate.after { throw StoreError(.refused, cause: "killed after the write") }
        return answer
    }
}

/// A registry in memory, with real times to live by the test's clock.
final class MemoryRegistry: SubnetStore, MigrationTarget {
    struct Key: Hashable {
        var value: String
        var revision: Int64
        var deadline: ContinuousClock.Instant?
        /// What a new leader of etcd v3 sets the time to live to.
        var granted: Duration?
    }

    struct State {
        var revision: Int64 = 1
        var config: Key?
        var leases: [String: Key] = [:]
        var notes: [MigrationSubject: Key] = [:]
        var watches: [Int: @Sendable ([SubnetEvent]) -> Void] = [:]
        var nextWatch = 0
        /// What the migration wrote or removed.
        var written: [String] = []
    }

    let endpoints = ["memory"]
    let configKey = "/memory/config"
    let configCommand = "put"
    let leaseTimeToLive = Duration.seconds(86400)
    let isV2: Bool
    let clock: TestClock
    let faults: Faults
    let state = Mutex(State())
    /// Called before the migration's next write.
    let beforeWrite = Mutex<(@Sendable () -> Void)?>(nil)
    /// Called after the migration's next write of a key.
    let afterWrite = Mutex<(@Sendable () -> Void)?>(nil)

    init(isV2: Bool, clock: TestClock, faults: Faults) {
        self.isV2 = isV2
        self.clock = clock
        self.faults = faults
    }

    func withSession(endpoint: Int, _ body: @Sendable (any SubnetSession) async throws -> Void) async throws {
        try await body(self)
    }

    func access<Answer>(_ body: (inout sending State) -> sending Answer) -> Answer {
        let now = clock.now
        return state.withLock { state in
            let ended = state.leases.filter { $0.value.deadline.map { $0 <= now } ?? false }.keys
            for name in ended { state.remove(name) }
            return body(&state)
        }
    }
}

extension MemoryRegistry.State {
    mutating func put(_ name: String, _ value: String, _ timeToLive: Duration?, now: ContinuousClock.Instant) {
        revision += 1
        leases[name] = MemoryRegistry.Key(
            value: value, revision: revision, deadline: timeToLive.map { now + $0 }, granted: timeToLive)
        emit(
            .put(
                LeaseRecord(
                    name: name, value: Array(value.utf8), createRevision: revision, modRevision: revision,
                    isReservation: timeToLive == nil)))
    }

    mutating func remove(_ name: String) {
        guard leases.removeValue(forKey: name) != nil else { return }
        revision += 1
        emit(.removed(name: name, revision: revision))
    }

    mutating func setConfig(_ text: String?) {
        revision += 1
        config = text.map { MemoryRegistry.Key(value: $0, revision: revision) }
        emit(.config(text.map { Array($0.utf8) }))
    }

    func revision(of subject: MigrationSubject) -> Int64 {
        switch subject {
        case .config: config?.revision ?? 0
        case .lease(let name): leases[name]?.revision ?? 0
        }
    }

    private func emit(_ event: SubnetEvent) { for handle in watches.values { handle([event]) } }
}

// What daemons and operators do.
extension MemoryRegistry {
    func put(_ name: String, _ value: String, _ timeToLive: Duration? = .seconds(86400)) {
        let now = clock.now
        access { $0.put(name, value, timeToLive, now: now) }
    }

    func remove(_ name: String) { access { $0.remove(name) } }
    func setConfig(_ text: String?) { access { $0.setConfig(text) } }

    /// Starts the time to live afresh without a write, as a keep-alive of v3.
    func keepAlive(_ name: String) {
        let now = clock.now
        access { state in
            let deadline = state.leases[name]?.granted.map { now + $0 }
            state.leases[name]?.deadline = deadline
        }
    }

    /// Every time to live starts afresh, as with a new leader of etcd v3.
    func electLeader() { for name in leases.keys { keepAlive(name) } }

    var leases: [String: Key] { access { $0.leases } }
    var values: [String: String] { leases.mapValues(\.value) }
    var config: String? { access { $0.config?.value } }
    var notes: [MigrationSubject: Key] { access { $0.notes } }
    func remaining(_ name: String) -> Duration? { leases[name]?.deadline.map { $0 - clock.now } }
}

extension MemoryRegistry {
    func migrationSnapshot(reusing known: MigrationSnapshot?) async throws(StoreError) -> MigrationSnapshot {
        access { state in
            MigrationSnapshot(
                config: state.config.map(Self.entry), leases: state.leases.mapValues(Self.entry),
                notes: state.notes.mapValues(Self.entry), revision: state.revision)
        }
    }

    private static func entry(_ key: Key) -> MigrationEntry {
        MigrationEntry(value: Array(key.value.utf8), revision: key.revision, deadline: key.deadline)
    }

    func migrate(_ write: MigrationWrite) async throws(StoreError) -> Int64? { try commit(write) { _ in } }

    func migrate(_ write: MigrationWrite, note: [UInt8]?) async throws(StoreError) -> Int64? {
        try commit(write) { $0.setNote(note, write.subject) }
    }

    private func commit(_ write: MigrationWrite, _ more: (inout State) -> Void) throws(StoreError) -> Int64? {
        beforeWrite.withLock { act in
            defer { act = nil }
            return act
        }?()
        defer {
            afterWrite.withLock { act in
                defer { act = nil }
                return act
            }?()
        }
        let now = clock.now
        return try faults.write {
            access { state in
                guard state.revision(of: write.subject) == write.revision else { return nil }
                let text = String(decoding: write.value, as: UTF8.self)
                switch (write.subject, write.change) {
                case (.config, .put): state.setConfig(text)
                case (.config, .remove): state.setConfig(nil)
                case (.lease(let name), .put(let timeToLive)): state.put(name, text, timeToLive, now: now)
                case (.lease(let name), .remove):
                    if isV2 { state.put(name, text, .seconds(1), now: now) } else { state.remove(name) }
                }
                if let name = write.subject.name { state.written.append(name) }
                let revision = state.revision
                more(&state)
                return revision
            }
        }
    }

    func putNote(
        _ note: [UInt8]?, on subject: MigrationSubject, noteRevision: Int64, keyRevision: Int64?
    ) async throws(StoreError) -> Int64? {
        try faults.write {
            access { state in
                guard (state.notes[subject]?.revision ?? 0) == noteRevision else { return nil }
                if let keyRevision, state.revision(of: subject) != keyRevision { return nil }
                state.revision += 1
                state.setNote(note, subject)
                return state.revision
            }
        }
    }
}

extension MemoryRegistry.State {
    /// At the revision of the transaction that it is part of.
    fileprivate mutating func setNote(_ note: [UInt8]?, _ subject: MigrationSubject) {
        notes[subject] = note.map { MemoryRegistry.Key(value: String(decoding: $0, as: UTF8.self), revision: revision) }
    }
}

extension MigrationSubject {
    var name: String? {
        if case .lease(let name) = self { name } else { nil }
    }
}

// A migration needs nothing of this but the watch.
extension MemoryRegistry {
    func watch(
        after revision: Int64, _ handle: @escaping @Sendable ([SubnetEvent]) -> Void
    ) async throws(StoreError) -> WatchEnd {
        let (id, isLate) = access { state in
            state.nextWatch += 1
            state.watches[state.nextWatch] = handle
            return (state.nextWatch, state.revision > revision)
        }
        if isLate { handle([]) }
        try? await Task.sleep(for: .seconds(1 << 32))
        access { $0.watches[id] = nil }
        throw StoreError(.cancelled, cause: "cancelled")
    }

    func snapshot() async throws(StoreError) -> SubnetSnapshot { throw Self.unused }
    func prepareCreate() async {}
    func create(name: String, value: [UInt8]) async throws(StoreError) -> CreateOutcome { throw Self.unused }
    func discardPrepared() async {}
    func replace(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome { throw Self.unused }
    func takeOver(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome { throw Self.unused }
    func delete(_ record: LeaseRecord) async throws(StoreError) -> Bool { throw Self.unused }
    func renew(_ record: LeaseRecord) async throws(StoreError) -> RenewOutcome { throw Self.unused }
    private static let unused = StoreError(.unsupported, cause: "not needed here")
}
