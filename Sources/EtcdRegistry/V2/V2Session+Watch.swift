import AsyncHTTPClient
import Leases

extension V2Session {
    /// Waits for leases and for the config by a request each, and asks meanwhile whether the member is alive and has a
    /// leader: a request that waits would never tell.
    func watch(
        after revision: Int64, _ handle: @escaping @Sendable ([SubnetEvent]) -> Void
    ) async throws(StoreError) -> WatchEnd {
        // The config of the same list was perhaps read earlier.
        let configIndex = lastList.withLock { $0.flatMap { $0.leases == revision ? $0.config : nil } } ?? revision
        let end = await withTaskGroup(of: Result<WatchEnd, StoreError>.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                await self.follow(self.keys.subnets, isRecursive: true, after: revision, self.lease, handle)
            }
            group.addTask {
                await self.follow(self.keys.config, isRecursive: false, after: configIndex, self.config, handle)
            }
            group.addTask { await self.guardMember() }
            return await group.next() ?? .failure(.cancelled)
        }
        return try end.get()
    }

    /// Something that events can't tell, so that a new list is needed.
    private struct ListNeeded: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    /// Follows a key, or a directory and what is in it, event by event.
    ///
    /// The history is of 1,000 events of the whole store. Where a wait ended without one, the next starts from etcd's
    /// index at its beginning, up to which there was nothing here.
    private func follow(
        _ key: String, isRecursive: Bool, after index: Int64,
        _ meaning: (V2Event) throws(ListNeeded) -> SubnetEvent?, _ handle: @Sendable ([SubnetEvent]) -> Void
    ) async -> Result<WatchEnd, StoreError> {
        var next = index + 1
        let subject = RequestSubject("watch", key: key)
        do throws(StoreError) {
            while true {
                let (event, seen) = try await wait(
                    .wait(key, isRecursive: isRecursive, from: next), from: next, subject)
                // Whoever waits for an index that a restored etcd has not reached hears nothing until it has.
                guard seen >= next - 1 else {
                    return .success(.cancelled("etcd's index went back from \(next - 1) to \(seen)"))
                }
                guard let event else {
                    next = max(next, seen + 1)
                    continue
                }
                guard event.node.modifiedIndex >= next else {
                    return .success(.cancelled("an old event came again; is there a proxy that caches answers?"))
                }
                next = event.node.modifiedIndex + 1
                do throws(ListNeeded) {
                    if let change = try meaning(event) { handle([change]) }
                } catch {
                    return .success(.cancelled(error.reason))
                }
            }
        } catch {
            switch error.kind {
            case .compacted: return .success(.compacted)
            default: return .failure(error)
            }
        }
    }

    /// One long poll.
    ///
    /// - Returns: The event, or none when it was quiet for as long as is waited; and etcd's index at the beginning.
    private func wait(
        _ request: V2Request, from: Int64, _ subject: RequestSubject
    ) async throws(StoreError) -> (V2Event?, Int64) {
        let http = request.http(endpoint, store.configuration.credentials)
        let asked = ContinuousClock.now
        let head: HTTPClientResponse
        do {
            head = try await withTimeLimit(store.configuration.requestTimeout) { [client] in
                // The head comes at once, the body with the event.
                try await client.answer(http)
            }
        } catch {
            throw StoreError(http: error, at: endpoint, subject)
        }
        // What is so far in the future is not waited for.
        if head.status == .ok, let index = head.etcdIndex, index < from - 1 { return (nil, index) }
        let body: [UInt8]
        do {
            let limit = store.timing.longestPoll * Double.random(in: 0.8...1)
            body = try await withTimeLimit(limit) { try await head.body.bytes(upTo: Self.maxAnswerBytes) }
        } catch is TimeLimitPassed {
            return (nil, head.etcdIndex ?? 0)
        } catch {
            throw StoreError(http: error, at: endpoint, subject)
        }
        // A proxy may end a wait that is too long for it, perhaps at once.
        if body.isEmpty, head.status == .ok, let index = head.etcdIndex {
            if asked.duration(to: .now) < .seconds(1) { try? await Task.sleep(for: .seconds(1)) }
            return (nil, index)
        }
        let (answer, index) = try read(V2Answer(head, body: body), subject, expecting: [])
        guard case .event(let event) = answer else { return (nil, index) }
        return (event, index)
    }

    private func lease(_ event: V2Event) throws(ListNeeded) -> SubnetEvent? {
        try checkFolder(event)
        guard let name = keys.name(event.node.key), !event.node.isDirectory else { return nil }
        if event.isRemoval {
            store.ages.forget(name)
            return .removed(name: name, revision: event.node.modifiedIndex)
        }
        guard let record = keys.record(event.node) else { return nil }
        return .put(store.ages.aged(record, after: event.previous.flatMap(keys.record)))
    }

    private func config(_ event: V2Event) throws(ListNeeded) -> SubnetEvent? {
        try checkFolder(event)
        guard event.node.key == keys.config else { return nil }
        if event.isRemoval || event.node.isDirectory { return .config(nil) }
        return .config([UInt8]((event.node.value ?? "").utf8))
    }

    /// A directory that goes takes all that is in it along, with one event.
    private func checkFolder(_ event: V2Event) throws(ListNeeded) {
        let key = event.node.key
        guard keys.subnets == key || keys.subnets.hasPrefix(key == "/" ? key : key + "/") else { return }
        if event.isRemoval { throw ListNeeded("\(key) was deleted") }
        if !event.node.isDirectory { throw ListNeeded("\(key) is not a directory") }
    }

    /// Ends when the member is of no more use.
    private func guardMember() async -> Result<WatchEnd, StoreError> {
        do throws(StoreError) {
            while true {
                do {
                    try await Task.sleep(for: store.timing.probeInterval * Double.random(in: 0.8...1))
                } catch {
                    throw .cancelled
                }
                try await checkLeader()
                await refreshMembers()
            }
        } catch {
            return .failure(error)
        }
    }

    /// Costs the member a look into its memory. One that is cut off from the majority has no leader after a second.
    private func checkLeader() async throws(StoreError) {
        let subject = RequestSubject("look for the leader", key: "")
        let answer = try await send(V2Request(method: .GET, path: "/v2/members/leader"), subject)
        // During an election, and as long as there is no majority for one. Before etcd 2.1 there was no such answer.
        guard answer.status == 503 else { return }
        throw .noLeader(at: endpoint, subject)
    }
}
