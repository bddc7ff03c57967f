import EtcdAPI
import FoundationEssentials
import Leases

extension V3Session {
    /// Leases per request. A lease is about 200 bytes, so that a page is a fraction of a megabyte.
    static let pageSize: Int64 = 2_000

    func snapshot() async throws(StoreError) -> SubnetSnapshot {
        var size = Self.pageSize
        while true {
            do {
                return try await snapshot(pageSize: size)
            } catch  where error.kind == .tooLarge && size > 1 {
                // Somebody keeps megabytes under the prefix; they must not keep this host out.
                size /= 8
                size = max(size, 1)
            }
        }
    }

    /// The config's text, `nil` when there is none.
    func readConfig() async throws(StoreError) -> [UInt8]? {
        let request = EtcdRangeRequest.with { $0.key = Data(keys.config.utf8) }
        let answer = try await call(RequestSubject("read the config", key: keys.config)) { metadata, options in
            try await EtcdKV.Client(wrapping: self.client).range(request, metadata: metadata, options: options)
        }
        return answer.kvs.first.map { [UInt8]($0.value) }
    }

    private func snapshot(pageSize: Int64) async throws(StoreError) -> SubnetSnapshot {
        var list = try await firstPage(pageSize)
        while let next = list.next {
            let request = EtcdRangeRequest.with {
                $0.key = next
                $0.rangeEnd = keys.subnetsEnd
                $0.limit = pageSize
                $0.revision = list.revision
            }
            let page = try await call(RequestSubject("list leases", key: keys.subnets)) { metadata, options in
                try await EtcdKV.Client(wrapping: self.client).range(request, metadata: metadata, options: options)
            }
            list.add(page, keys)
        }
        return SubnetSnapshot(config: list.config, leases: list.leases, revision: list.revision)
    }

    /// Config and first page in one request, so that they are of one revision. Two ranges and not one over the whole
    /// prefix, since a user may be allowed to read just these.
    private func firstPage(_ pageSize: Int64) async throws(StoreError) -> PartialList {
        let config = EtcdRangeRequest.with { $0.key = Data(keys.config.utf8) }
        let leases = EtcdRangeRequest.with {
            $0.key = Data(keys.subnets.utf8)
            $0.rangeEnd = keys.subnetsEnd
            $0.limit = pageSize
        }
        let request = EtcdTxnRequest.with {
            $0.success = [.with { $0.requestRange = config }, .with { $0.requestRange = leases }]
        }
        let answer = try await call(RequestSubject("list leases", key: keys.subnets)) { metadata, options in
            try await EtcdKV.Client(wrapping: self.client).txn(request, metadata: metadata, options: options)
        }
        guard answer.responses.count == 2 else {
            throw StoreError(.refused, cause: "\(endpoint): etcd left out a part of its answer")
        }
        let text = answer.responses[0].responseRange.kvs.first.map { [UInt8]($0.value) }
        var list = PartialList(config: text, revision: answer.header.revision)
        list.add(answer.responses[1].responseRange, keys)
        return list
    }
}

/// A snapshot as far as it is read.
private struct PartialList {
    let config: [UInt8]?
    let revision: Int64
    var leases: [LeaseRecord] = []
    /// Where the next page starts; `nil` after the last.
    var next: Data?

    init(config: [UInt8]?, revision: Int64) {
        self.config = config
        self.revision = revision
    }

    mutating func add(_ page: EtcdRangeResponse, _ keys: V3Keys) {
        if leases.isEmpty { leases.reserveCapacity(Int(clamping: min(page.count, 100_000))) }
        for pair in page.kvs { leases.append(keys.record(pair)) }
        next = page.more ? page.kvs.last.map { $0.key + [0] } : nil
    }
}
