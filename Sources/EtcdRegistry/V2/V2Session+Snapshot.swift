import Leases

extension V2Session {
    /// Two requests and not one for the whole prefix, since a user may be allowed to read just these. They are not of one
    /// instant; the watch starts each from its own.
    func snapshot() async throws(StoreError) -> SubnetSnapshot {
        async let list = leaseList()
        let config = try await readConfig()
        let (records, revision) = try await list.get()
        await checkUser()
        lastList.withLock { $0 = (revision, config.index) }
        return SubnetSnapshot(config: config.text, leases: records, revision: revision)
    }

    /// The config's text, `nil` when there is none.
    func readConfig() async throws(StoreError) -> (text: [UInt8]?, index: Int64) {
        let subject = RequestSubject("read the config", key: keys.config)
        let (body, index) = try await call(.read(keys.config), subject, expecting: [V2Failure.keyNotFound])
        guard case .event(let event) = body else { return (nil, index) }
        guard !event.node.isDirectory else {
            throw StoreError(
                .refused, cause: "\(endpoint): \(keys.config) is a directory",
                remedy: "delete it, and put the config there as a key")
        }
        return ([UInt8]((event.node.value ?? "").utf8), index)
    }

    /// What `async let` takes: it would forget the error's type.
    private func leaseList() async -> Result<([LeaseRecord], Int64), StoreError> {
        do throws(StoreError) {
            return .success(try await listLeases())
        } catch {
            return .failure(error)
        }
    }

    private func listLeases() async throws(StoreError) -> ([LeaseRecord], Int64) {
        let subject = RequestSubject("list leases", key: keys.subnets)
        let (body, index) = try await call(.read(keys.subnets), subject, expecting: [V2Failure.keyNotFound])
        guard case .event(let event) = body else { return (store.ages.aged(list: [], at: index), index) }
        guard event.node.isDirectory else {
            throw StoreError(
                .refused, cause: "\(endpoint): \(keys.subnets) is a key and not a directory",
                remedy: "delete it with: etcdctl rm \(keys.subnets)")
        }
        return (store.ages.aged(list: event.node.nodes.compactMap(keys.record), at: index), index)
    }
}
