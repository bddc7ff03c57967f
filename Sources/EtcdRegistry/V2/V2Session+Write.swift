import Leases

extension V2Session {
    // A key's time to live is part of the write that makes it: there is nothing to prepare.
    func prepareCreate() async {}
    func discardPrepared() async {}

    func create(name: String, value: [UInt8]) async throws(StoreError) -> CreateOutcome {
        let subject = RequestSubject("create a lease", key: keys.subnet(name), writes: true)
        let request = V2Request.key(
            .PUT, keys.subnet(name), query: [("prevExist", "false")], form: [("value", value), timeToLive])
        // What is in the way may be gone before it is read.
        for _ in 0..<Self.createAttempts {
            let (body, _) = try await call(request, subject, expecting: [V2Failure.keyExists])
            if case .event(let event) = body { return .created(try record(event.node, subject)) }
            if let there = try await current(name, subject) { return .taken(there) }
        }
        throw StoreError(.refused, cause: "\(endpoint): \(subject.text): others make and delete it all the time")
    }

    private static let createAttempts = 5

    /// v2 gives a key another time to live, or none, with each write. So one that will end is given the registry's anew,
    /// and one that won't is written without.
    func replace(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome {
        try await write(
            record, "write a lease", form: record.isReservation ? [("value", value)] : [("value", value), timeToLive])
    }

    func takeOver(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome {
        try await write(record, "write a lease", form: [("value", value), timeToLive])
    }

    /// A time to live of a second takes the place of v2's comparing delete, which flanneld up to v0.17 takes for a lease
    /// without a value: it stumbles over it once a second, and hears of no later change until it is restarted.
    func delete(_ record: LeaseRecord) async throws(StoreError) -> Bool {
        let write = MigrationWrite(.lease(record.name), value: record.value, .remove, ifAt: record.modRevision)
        let subject = RequestSubject("delete a lease", key: keys.subnet(record.name), writes: true)
        guard let revision = try await migrate(write) else { return try await current(record.name, subject) == nil }
        while let there = try await current(record.name, subject) {
            guard there.modRevision == revision else { return false }
            do {
                try await Task.sleep(for: .milliseconds(100))
            } catch {
                throw .cancelled
            }
        }
        return true
    }

    /// Since etcd 2.3 a refresh starts the time to live afresh and wakes no watcher; it changes the modified index all
    /// the same. Before, a renewal is a write.
    func renew(_ record: LeaseRecord) async throws(StoreError) -> RenewOutcome {
        if record.isReservation { return try await renewReservation(record) }
        let refreshes = try await knowsRefresh()
        let outcome = try await write(
            record, "renew a lease", query: refreshes ? [("refresh", "true")] : [],
            form: refreshes ? [timeToLive] : [("value", record.value), timeToLive])
        switch outcome {
        case .written(let written): return .renewed(written, timeToLive: .seconds(Self.seconds(store.leaseTimeToLive)))
        case .changed(let current): return .changed(current)
        }
    }

    private func renewReservation(_ record: LeaseRecord) async throws(StoreError) -> RenewOutcome {
        let subject = RequestSubject("renew a lease", key: keys.subnet(record.name))
        let there = try await current(record.name, subject)
        return there?.modRevision == record.modRevision ? .reservation : .changed(there)
    }

    /// Writes if the key is still at the record's revision.
    private func write(
        _ record: LeaseRecord, _ action: String, query: [(name: String, value: String)] = [],
        form: [(name: String, value: [UInt8])]
    ) async throws(StoreError) -> WriteOutcome {
        let subject = RequestSubject(action, key: keys.subnet(record.name), writes: true)
        let request = V2Request.key(
            .PUT, keys.subnet(record.name), query: [("prevIndex", "\(record.modRevision)")] + query, form: form)
        let (body, _) = try await call(
            request, subject, expecting: [V2Failure.keyNotFound, V2Failure.compareFailed, V2Failure.notAFile])
        switch body {
        case .event(let event): return .written(try self.record(event.node, subject))
        case .failure(let failure) where failure.code == V2Failure.keyNotFound: return .changed(nil)
        case .failure: return .changed(try await current(record.name, subject))
        }
    }

    /// What is under a name now. A directory there is no lease, but takes the name: it shows as a lease without a value.
    private func current(_ name: String, _ subject: RequestSubject) async throws(StoreError) -> LeaseRecord? {
        let (body, _) = try await call(
            .read(keys.subnet(name)), RequestSubject(subject.action, key: subject.key),
            expecting: [V2Failure.keyNotFound])
        guard case .event(var event) = body else { return nil }
        event.node.isDirectory = false
        return try record(event.node, subject)
    }

    private func record(_ node: V2Node, _ subject: RequestSubject) throws(StoreError) -> LeaseRecord {
        guard let record = keys.record(node) else {
            throw StoreError(
                .unsupported, cause: "\(endpoint): \(subject.text): etcd answers about \(node.key.prefix(200))",
                remedy: "is there a proxy that changes paths?")
        }
        return store.ages.aged(record)
    }

    private var timeToLive: (name: String, value: [UInt8]) {
        ("ttl", Array("\(Self.seconds(store.leaseTimeToLive))".utf8))
    }

    /// etcd counts in whole seconds; 0 would be no time at all.
    static func seconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return max(seconds + (attoseconds > 0 ? 1 : 0), 1)
    }
}
