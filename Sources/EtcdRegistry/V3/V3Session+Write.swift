import EtcdAPI
import FoundationEssentials
import GRPCCore
import Leases

extension V3Session {
    func create(name: String, value: [UInt8]) async throws(StoreError) -> CreateOutcome {
        let granted = try await etcdLease()
        let key = keys.subnet(name)
        let put = EtcdPutRequest.with {
            $0.key = key
            $0.value = Data(value)
            $0.lease = granted
        }
        let condition = EtcdCompare.with {
            $0.key = key
            $0.target = .version
            $0.result = .equal
            $0.version = 0
        }
        let answer: EtcdTxnResponse
        do {
            answer = try await commit(condition, put, "create a lease", name)
        } catch {
            store.spare.withLock { $0?.mayBeBound = true }
            throw error
        }
        if answer.succeeded {
            store.spare.withLock { $0 = nil }
            let revision = answer.header.revision
            return .created(
                LeaseRecord(
                    name: name, value: value, createRevision: revision, modRevision: revision, isReservation: false))
        }
        guard let pair = answer.responses.first?.responseRange.kvs.first else {
            throw StoreError(.refused, cause: "\(endpoint): etcd left out what is under \(keys.subnets)\(name)")
        }
        return .taken(keys.record(pair))
    }

    func replace(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome {
        let put = EtcdPutRequest.with {
            $0.key = keys.subnet(record.name)
            $0.value = Data(value)
            $0.ignoreLease = true
        }
        return try await write(record, put, value: value, isReservation: record.isReservation)
    }

    func takeOver(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome {
        try await bind(record, value: value, to: etcdLease()) { $0.value = Data(value) }
    }

    func delete(_ record: LeaseRecord) async throws(StoreError) -> Bool {
        let key = keys.subnet(record.name)
        let request = EtcdTxnRequest.with {
            $0.compare = [condition(record)]
            $0.success = [.with { $0.requestDeleteRange.key = key }]
            $0.failure = [.with { $0.requestRange.key = key }]
        }
        let answer = try await commit(request, "delete a lease", record.name)
        return answer.succeeded || answer.responses.first?.responseRange.kvs.isEmpty == true
    }

    /// Writes if the key is still at the record's revision.
    private func write(
        _ record: LeaseRecord, _ put: EtcdPutRequest, value: [UInt8], isReservation: Bool
    ) async throws(StoreError) -> WriteOutcome {
        let answer = try await commit(condition(record), put, "write a lease", record.name)
        guard answer.succeeded else {
            return .changed(answer.responses.first?.responseRange.kvs.first.map(keys.record))
        }
        return .written(
            LeaseRecord(
                name: record.name, value: value, createRevision: record.createRevision,
                modRevision: answer.header.revision, isReservation: isReservation))
    }

    private func condition(_ record: LeaseRecord) -> EtcdCompare {
        .with {
            $0.key = keys.subnet(record.name)
            $0.target = .mod
            $0.result = .equal
            $0.modRevision = record.modRevision
        }
    }

    private func commit(
        _ condition: EtcdCompare, _ put: EtcdPutRequest, _ action: String, _ name: String
    ) async throws(StoreError) -> EtcdTxnResponse {
        let request = EtcdTxnRequest.with {
            $0.compare = [condition]
            $0.success = [.with { $0.requestPut = put }]
            $0.failure = [.with { $0.requestRange.key = put.key }]
        }
        return try await commit(request, action, name)
    }

    private func commit(
        _ request: EtcdTxnRequest, _ action: String, _ name: String
    ) async throws(StoreError) -> EtcdTxnResponse {
        let subject = RequestSubject(action, key: keys.subnets + name, writes: true)
        return try await call(subject) { metadata, options in
            try await EtcdKV.Client(wrapping: self.client).txn(request, metadata: metadata, options: options)
        }
    }
}

// Times to live.
extension V3Session {
    func prepareCreate() async {
        guard store.spare.withLock({ $0 == nil }) else { return }
        _ = try? await grant()
    }

    /// The spare if it is fresh, else a new one.
    private func etcdLease() async throws(StoreError) -> Int64 {
        if let spare = store.spare.withLock({ $0 }) {
            if spare.isFresh(at: .now, renewMargin: store.configuration.renewMargin) { return spare.id }
            await discardPrepared()
        }
        return try await grant()
    }

    func discardPrepared() async {
        guard let spare = store.spare.withLock({ $0 }) else { return }
        do {
            if !spare.mayBeBound {
                try await revoke(spare.id)
            } else if try await keysBound(to: spare.id) == 0 {
                try await revoke(spare.id)
            }
        } catch  where error.kind != .refused {
            // Tried again with the next session; refused means that it has ended by itself.
            return
        } catch {}
        store.spare.withLock { $0 = nil }
    }

    func renew(_ record: LeaseRecord) async throws(StoreError) -> RenewOutcome {
        let key = keys.subnet(record.name)
        let request = EtcdRangeRequest.with { $0.key = key }
        let subject = RequestSubject("renew a lease", key: keys.subnets + record.name, writes: true)
        let answer = try await call(subject) { metadata, options in
            try await EtcdKV.Client(wrapping: self.client).range(request, metadata: metadata, options: options)
        }
        guard let pair = answer.kvs.first else { return .changed(nil) }
        guard pair.modRevision == record.modRevision else { return .changed(keys.record(pair)) }
        guard pair.lease != 0 else { return .reservation }
        let remaining = try await keepAlive(pair.lease, subject)
        guard remaining > 0 else { return .changed(nil) }
        let wanted = store.configuration.leaseTimeToLive
        if .seconds(remaining) >= wanted { return .renewed(record, timeToLive: .seconds(remaining)) }
        return try await rebind(record, wanted)
    }

    /// Gives a key with too short a time to live, which some other program made, an etcd lease of our own.
    private func rebind(_ record: LeaseRecord, _ timeToLive: Duration) async throws(StoreError) -> RenewOutcome {
        switch try await bind(record, value: record.value, to: etcdLease(), { $0.ignoreValue = true }) {
        case .written(let written): return .renewed(written, timeToLive: timeToLive)
        case .changed(let current): return .changed(current)
        }
    }

    /// Writes a key with the spare, which `granted` is, for its etcd lease.
    private func bind(
        _ record: LeaseRecord, value: [UInt8], to granted: Int64, _ fill: (inout EtcdPutRequest) -> Void
    ) async throws(StoreError) -> WriteOutcome {
        var put = EtcdPutRequest()
        put.key = keys.subnet(record.name)
        put.lease = granted
        fill(&put)
        do {
            let outcome = try await write(record, put, value: value, isReservation: false)
            if case .written = outcome { store.spare.withLock { $0 = nil } }
            return outcome
        } catch {
            store.spare.withLock { $0?.mayBeBound = true }
            throw error
        }
    }

    /// A new etcd lease, kept as the spare until it is bound to a key.
    private func grant() async throws(StoreError) -> Int64 {
        let (seconds, attoseconds) = store.configuration.leaseTimeToLive.components
        let request = EtcdLeaseGrantRequest.with { $0.ttl = max(seconds + (attoseconds > 0 ? 1 : 0), 1) }
        let asked = ContinuousClock.now
        let answer = try await call(RequestSubject("grant an etcd lease", key: keys.subnets, writes: true)) {
            metadata, options in
            try await EtcdLease.Client(wrapping: self.client).leaseGrant(request, metadata: metadata, options: options)
        }
        store.spare.withLock { $0 = SpareLease(id: answer.id, grantedAt: asked) }
        return answer.id
    }

    func revoke(_ id: Int64) async throws(StoreError) {
        let request = EtcdLeaseRevokeRequest.with { $0.id = id }
        _ = try await call(RequestSubject("revoke an etcd lease", key: keys.subnets, writes: true)) {
            metadata, options in
            try await EtcdLease.Client(wrapping: self.client).leaseRevoke(request, metadata: metadata, options: options)
        }
    }

    private func keysBound(to id: Int64) async throws(StoreError) -> Int {
        let request = EtcdLeaseTimeToLiveRequest.with {
            $0.id = id
            $0.keys = true
        }
        let answer = try await call(RequestSubject("look up an etcd lease", key: keys.subnets)) { metadata, options in
            try await EtcdLease.Client(wrapping: self.client).leaseTimeToLive(
                request, metadata: metadata, options: options)
        }
        return answer.keys.count
    }

    /// - Returns: The seconds that the etcd lease has from now, 0 or less when it has ended.
    private func keepAlive(_ id: Int64, _ subject: RequestSubject) async throws(StoreError) -> Int64 {
        let request = EtcdLeaseKeepAliveRequest.with { $0.id = id }
        return try await call(subject) { metadata, options in
            try await EtcdLease.Client(wrapping: self.client).leaseKeepAlive(
                metadata: metadata, options: options, requestProducer: { try await $0.write(request) },
                onResponse: { response in
                    for try await answer in response.messages { return answer.ttl }
                    throw RPCError(code: .unavailable, message: "the server closed the stream")
                })
        }
    }
}
