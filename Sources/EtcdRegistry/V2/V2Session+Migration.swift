import Leases

extension V2Session: MigrationSession {
    func migrationSnapshot(reusing _: MigrationSnapshot?) async throws(StoreError) -> MigrationSnapshot {
        let listed = try await snapshotNode(keys.subnets, "list leases")
        let config = try await snapshotNode(keys.config, "read the config")
        var snapshot = MigrationSnapshot(revision: listed.index)
        // A watch of the config that starts at the leases' index may show what is known already, which is no harm.
        lastList.withLock { $0 = (listed.index, listed.index) }
        snapshot.config = config.node.flatMap { $0.isDirectory ? nil : entry($0, config.asked) }
        for node in listed.node?.nodes ?? [] where !node.isDirectory {
            guard let name = keys.name(node.key) else { continue }
            snapshot.leases[name] = entry(node, listed.asked)
        }
        return snapshot
    }

    private func snapshotNode(
        _ key: String, _ action: String
    ) async throws(StoreError) -> (node: V2Node?, index: Int64, asked: ContinuousClock.Instant) {
        let asked = ContinuousClock.now
        let (body, index) = try await call(
            .read(key), RequestSubject(action, key: key), expecting: [V2Failure.keyNotFound])
        guard case .event(let event) = body else { return (nil, index, asked) }
        return (event.node, index, asked)
    }

    private func entry(_ node: V2Node, _ asked: ContinuousClock.Instant) -> MigrationEntry {
        MigrationEntry(
            value: [UInt8]((node.value ?? "").utf8.prefix(NetworkConfig.sizeLimit)), revision: node.modifiedIndex,
            deadline: node.hasTimeToLive ? asked + .seconds((node.secondsLeft ?? 0) - 1) : nil)
    }

    /// A key is removed by a time to live of a second. The comparing delete of v2 is an action that flanneld up to v0.17
    /// takes for a lease without a value: it stumbles over it again and again, and hears of no other change.
    func migrate(_ write: MigrationWrite) async throws(StoreError) -> Int64? {
        let key: String
        switch write.subject {
        case .config: key = keys.config
        case .lease(let name): key = keys.subnet(name)
        }
        let condition = write.revision == 0 ? ("prevExist", "false") : ("prevIndex", "\(write.revision)")
        var query = [condition]
        var form = [("value", write.value)]
        switch write.change {
        case .put(nil): break
        case .put(let timeToLive?): form.append(("ttl", Array("\(max(timeToLive.components.seconds, 1))".utf8)))
        case .remove:
            form.append(("ttl", Array("1".utf8)))
            // Watchers hear of the end alone.
            if try await knowsRefresh() {
                query.append(("refresh", "true"))
                form.removeFirst()
            }
        }
        let (body, _) = try await call(
            .key(.PUT, key, query: query, form: form), RequestSubject("copy", key: key, writes: true),
            expecting: [V2Failure.keyExists, V2Failure.keyNotFound, V2Failure.compareFailed, V2Failure.notAFile])
        guard case .event(let event) = body else { return nil }
        return event.node.modifiedIndex
    }
}
