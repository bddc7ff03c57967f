import EtcdAPI
import FoundationEssentials
import Leases

extension V3Session: MigrationTarget {
    func migrationSnapshot(reusing known: MigrationSnapshot?) async throws(StoreError) -> MigrationSnapshot {
        for _ in 1..<Self.snapshotAttempts {
            do throws(StoreError) {
                return try await readSnapshot(reusing: known)
            } catch {
                // The history was compacted between one part and the next.
                guard error.kind == .compacted else { throw error }
            }
        }
        return try await readSnapshot(reusing: known)
    }

    private static let snapshotAttempts = 5

    private func readSnapshot(reusing known: MigrationSnapshot?) async throws(StoreError) -> MigrationSnapshot {
        let config = try await list(keys.config, end: nil, "read the config", at: 0)
        let leases = try await list(keys.subnets, end: keys.subnetsEnd, "list leases", at: config.revision)
        let notes = try await list(keys.notes, end: keys.notesEnd, "list notes", at: config.revision)
        let times = try await timesToLive(leases.pairs, known)
        var snapshot = MigrationSnapshot(revision: config.revision)
        snapshot.config = config.pairs.first.map { entry($0, [:]) }
        for pair in leases.pairs { snapshot.leases[keys.name(pair.key)] = entry(pair, times) }
        for pair in notes.pairs { snapshot.notes[keys.noted(pair.key)] = entry(pair, [:]) }
        return snapshot
    }

    private func entry(_ pair: EtcdKeyValue, _ times: [Int64: ContinuousClock.Instant]) -> MigrationEntry {
        MigrationEntry(
            value: [UInt8](pair.value.prefix(NetworkConfig.sizeLimit)), revision: pair.modRevision,
            deadline: pair.lease == 0 ? nil : times[pair.lease], timeToLiveID: pair.lease)
    }

    /// All pairs of a range, page by page; of one revision when `revision` is not 0.
    private func list(
        _ key: String, end: Data?, _ action: String, at revision: Int64
    ) async throws(StoreError) -> (pairs: [EtcdKeyValue], revision: Int64) {
        var pairs: [EtcdKeyValue] = []
        var next: Data? = Data(key.utf8)
        var answered = revision
        while let start = next {
            let request = EtcdRangeRequest.with {
                $0.key = start
                $0.rangeEnd = end ?? Data()
                $0.limit = Self.pageSize
                $0.revision = answered
            }
            let page = try await call(RequestSubject(action, key: key)) { metadata, options in
                try await EtcdKV.Client(wrapping: self.client).range(request, metadata: metadata, options: options)
            }
            pairs += page.kvs
            if answered == 0 { answered = page.header.revision }
            next = page.more ? page.kvs.last.map { $0.key + [0] } : nil
        }
        return (pairs, answered)
    }

    /// The deadlines of the etcd leases that keys are bound to.
    private func timesToLive(
        _ pairs: [EtcdKeyValue], _ known: MigrationSnapshot?
    ) async throws(StoreError) -> [Int64: ContinuousClock.Instant] {
        var times: [Int64: ContinuousClock.Instant] = [:]
        for entry in known?.leases.values.filter({ $0.timeToLiveID != 0 }) ?? [] {
            times[entry.timeToLiveID] = entry.deadline
        }
        var missing = Set(pairs.map(\.lease)).subtracting(times.keys).subtracting([0])
        while !missing.isEmpty {
            let some = Array(missing.prefix(Self.timesAtOnce))
            missing.subtract(some)
            times.merge(try await timesToLive(some)) { $1 }
        }
        return times
    }

    private static let timesAtOnce = 64

    private func timesToLive(_ ids: [Int64]) async throws(StoreError) -> [Int64: ContinuousClock.Instant] {
        do {
            return try await withThrowingTaskGroup { group in
                for id in ids { group.addTask { (id, try await self.deadline(of: id)) } }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
        } catch {
            throw error as? StoreError ?? .cancelled
        }
    }

    /// etcd tells the seconds that are left rounded down, and -1 for a lease that has ended.
    private func deadline(of id: Int64) async throws(StoreError) -> ContinuousClock.Instant {
        let request = EtcdLeaseTimeToLiveRequest.with { $0.id = id }
        let asked = ContinuousClock.now
        let answer = try await call(RequestSubject("look up an etcd lease", key: keys.subnets)) { metadata, options in
            try await EtcdLease.Client(wrapping: self.client).leaseTimeToLive(
                request, metadata: metadata, options: options)
        }
        return asked + .seconds(max(answer.ttl, 0))
    }
}

// Writing.
extension V3Session {
    func migrate(_ write: MigrationWrite) async throws(StoreError) -> Int64? { try await migrate(write, notes: []) }

    func migrate(_ write: MigrationWrite, note: [UInt8]?) async throws(StoreError) -> Int64? {
        try await migrate(write, notes: [noteChange(note, write.subject)])
    }

    private func migrate(_ write: MigrationWrite, notes: [EtcdRequestOp]) async throws(StoreError) -> Int64? {
        let key = keys.key(write.subject)
        let change: EtcdRequestOp
        var granted: Int64 = 0
        switch write.change {
        case .remove: change = .with { $0.requestDeleteRange.key = key }
        case .put(let timeToLive):
            if let timeToLive { granted = try await grant(timeToLive) }
            change = .with {
                $0.requestPut.key = key
                $0.requestPut.value = Data(write.value)
                $0.requestPut.lease = granted
            }
        }
        let request = EtcdTxnRequest.with {
            $0.compare = [isAt(key, write.revision)]
            $0.success = [change] + notes
        }
        let answer = try await commit(request, write.subject)
        // One that stays, for want of an answer, ends by itself.
        if !answer.succeeded, granted != 0 { try? await revoke(granted) }
        return answer.succeeded ? answer.header.revision : nil
    }

    func putNote(
        _ note: [UInt8]?, on subject: MigrationSubject, noteRevision: Int64, keyRevision: Int64?
    ) async throws(StoreError) -> Int64? {
        let request = EtcdTxnRequest.with {
            $0.compare = [isAt(keys.note(subject), noteRevision)]
            if let keyRevision { $0.compare.append(isAt(keys.key(subject), keyRevision)) }
            $0.success = [noteChange(note, subject)]
        }
        let answer = try await commit(request, subject)
        return answer.succeeded ? answer.header.revision : nil
    }

    private func noteChange(_ note: [UInt8]?, _ subject: MigrationSubject) -> EtcdRequestOp {
        .with {
            if let note {
                $0.requestPut.key = keys.note(subject)
                $0.requestPut.value = Data(note)
            } else {
                $0.requestDeleteRange.key = keys.note(subject)
            }
        }
    }

    private func isAt(_ key: Data, _ revision: Int64) -> EtcdCompare {
        .with {
            $0.key = key
            $0.target = .mod
            $0.result = .equal
            // A key that is not there has 0.
            $0.modRevision = revision
        }
    }

    private func commit(
        _ request: EtcdTxnRequest, _ subject: MigrationSubject
    ) async throws(StoreError) -> EtcdTxnResponse {
        let key = String(decoding: keys.key(subject), as: UTF8.self)
        return try await call(RequestSubject("copy", key: key, writes: true)) { metadata, options in
            try await EtcdKV.Client(wrapping: self.client).txn(request, metadata: metadata, options: options)
        }
    }

    private func grant(_ timeToLive: Duration) async throws(StoreError) -> Int64 {
        let request = EtcdLeaseGrantRequest.with { $0.ttl = max(timeToLive.components.seconds, 1) }
        return try await call(RequestSubject("grant an etcd lease", key: keys.subnets, writes: true)) {
            metadata, options in
            try await EtcdLease.Client(wrapping: self.client).leaseGrant(request, metadata: metadata, options: options)
        }.id
    }
}

extension V3Keys {
    /// Where notes of a migration are; ends in a slash.
    fileprivate var notes: String { "\(config.dropLast("config".utf8.count))weft-migration/" }
    fileprivate var notesEnd: Data { Data(notes.utf8.dropLast()) + [UInt8(ascii: "/") + 1] }

    fileprivate func key(_ subject: MigrationSubject) -> Data {
        switch subject {
        case .config: Data(config.utf8)
        case .lease(let name): subnet(name)
        }
    }

    fileprivate func note(_ subject: MigrationSubject) -> Data {
        switch subject {
        case .config: Data("\(notes)config".utf8)
        case .lease(let name): Data("\(notes)\(name)".utf8)
        }
    }

    fileprivate func noted(_ key: Data) -> MigrationSubject {
        let name = String(decoding: key.dropFirst(notes.utf8.count), as: UTF8.self)
        return name == "config" ? .config : .lease(name)
    }
}
