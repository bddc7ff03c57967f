import EtcdRegistry
import Foundation
import IPNetwork
import Leases
import Synchronization

/// A registry of any kind for one test: a store, a way to break what is between it and etcd, and what other hosts and
/// operators do to its keys.
struct RegistryBed: Sendable {
    let kind: StoreKind
    /// What the registry under test uses.
    let store: any SubnetStore
    private let memory: MemoryStore?
    private let servers: [EtcdServer]
    let proxy: TCPProxy?
    private let prefix: String
    /// An etcd lease of v3 for the keys that are to have a time to live.
    private let granted = Box()

    private final class Box: Sendable {
        let text = Mutex<String?>(nil)
    }

    /// On the etcd that all tests share and behind a proxy, unless others are given.
    init(
        _ kind: StoreKind, config: String? = networkConfig, ttl: Duration = .seconds(86400), servers: [EtcdServer] = [],
        requestTimeout: Duration = .seconds(5)
    ) async throws {
        self.kind = kind
        prefix = uniquePrefix()
        if kind == .memory {
            let memory = MemoryStore(leaseTimeToLive: ttl)
            (self.memory, store, self.servers, proxy) = (memory, memory, [], nil)
        } else if servers.isEmpty {
            let server = try await SharedEtcd.server()
            let proxy = try TCPProxy(to: server.clientPort)
            (memory, self.servers, self.proxy) = (nil, [server], proxy)
            store = try Self.store(kind, [proxy.url], prefix, ttl, requestTimeout)
        } else {
            (memory, self.servers, proxy) = (nil, servers, nil)
            store = try Self.store(kind, servers.map(\.clientURL), prefix, ttl, requestTimeout)
        }
        if let config { try putConfig(config) }
    }

    private var server: EtcdServer? { servers.first(where: \.isRunning) }

    private static func store(
        _ kind: StoreKind, _ urls: [String], _ prefix: String, _ ttl: Duration,
        _ requestTimeout: Duration
    ) throws -> any SubnetStore {
        kind == .v2
            ? try v2Store(urls, prefix: prefix, ttl: ttl, requestTimeout: requestTimeout)
            : try v3Store(urls, prefix: prefix, ttl: ttl, requestTimeout: requestTimeout)
    }

    /// A host whose registry it is.
    func host(_ last: UInt8 = 1, previous: String? = nil, renewMargin: Duration = .seconds(3600)) -> RunningRegistry {
        RunningRegistry(
            store, publicIP: IPv4Address(172, 30, 0, last), previous: previous.flatMap { SubnetKey($0) },
            renewMargin: renewMargin)
    }

    /// Another host's store, past the proxy.
    func otherStore() throws -> any SubnetStore {
        guard let server else { return store }
        return try Self.store(kind, [server.clientURL], prefix, .seconds(86400), longRequestTimeout)
    }

    func putConfig(_ text: String?) throws {
        if let memory { return memory.setConfig(text) }
        switch (kind, text) {
        case (.v2, let text?): try server?.control2("set", "\(prefix)/config", text)
        case (.v2, nil): try server?.control2("rm", "\(prefix)/config")
        case (_, let text?): try server?.control("put", "\(prefix)/config", text)
        case (_, nil): try server?.control("del", "\(prefix)/config")
        }
    }

    /// As a stock daemon writes: without looking at what is there.
    func put(_ name: String, _ value: String, isReservation: Bool = false) throws {
        if let memory { return memory.put(name, value, isReservation: isReservation) }
        let key = "\(prefix)/subnets/\(name)"
        if kind == .v2 {
            try server?.control2("set", key, value, "--ttl", isReservation ? "0" : "86400")
        } else if isReservation {
            try server?.control("put", key, value)
        } else {
            try server?.control("put", key, value, "--lease=\(lease())")
        }
    }

    private func lease() throws -> String {
        if let known = granted.text.withLock({ $0 }) { return known }
        let answer = try server?.control("lease", "grant", "86400") ?? ""
        let id = String(answer.split(separator: " ")[1])
        granted.text.withLock { $0 = id }
        return id
    }

    /// As a stock daemon's, with less to live than ours.
    func put(_ name: String, _ value: String, seconds: Int) throws {
        let key = "\(prefix)/subnets/\(name)"
        if kind == .v2 {
            try server?.control2("set", key, value, "--ttl", "\(seconds)")
        } else {
            let granted = try server?.control("lease", "grant", "\(seconds)").split(separator: " ")[1] ?? ""
            try server?.control("put", key, value, "--lease=\(granted)")
        }
    }

    /// What a key was given to live.
    func timeToLive(_ name: String) throws -> Int? {
        let key = "\(prefix)/subnets/\(name)"
        if kind == .v2 {
            let text = try server?.control2("-o", "extended", "get", key).firstMatch(of: /TTL: (\d+)/)?.1
            return text.flatMap { Int($0) }
        }
        let id = try server?.control("get", key, "-w", "json").firstMatch(of: /"lease":(\d+)/)?.1
        guard let number = id.flatMap({ Int64($0) }) else { return nil }
        let text = try server?.control("lease", "timetolive", String(number, radix: 16))
            .firstMatch(of: /TTL\((\d+)s\)/)?.1
        return text.flatMap { Int($0) }
    }

    /// Makes the history forget all that there was.
    func forgetHistory() async throws {
        if kind == .v2 {
            try await session(try otherStore()) { session in
                guard case .created(var record) = try await session.create(name: "history", value: [49]) else { return }
                for _ in 0..<1_001 {
                    guard case .written(let written) = try await session.replace(record, value: [49]) else { return }
                    record = written
                }
                _ = try await session.delete(record)
            }
        } else {
            let revision = try server?.control("get", "x", "-w", "json").firstMatch(of: /"revision":(\d+)/)?.1
            try server?.control("compact", String(revision ?? ""))
        }
    }

    func remove(_ name: String) throws {
        if let memory { return memory.remove(name) }
        let key = "\(prefix)/subnets/\(name)"
        if kind == .v2 { try server?.control2("rm", key) } else { try server?.control("del", key) }
    }

    /// All leases at once, as `etcdctl rm -r` does.
    func removeAll() async throws {
        if let memory {
            for name in memory.records.keys { memory.remove(name) }
        } else if kind == .v2 {
            try server?.control2("rm", "-r", "\(prefix)/subnets")
        } else {
            try server?.control("del", "--prefix", "\(prefix)/subnets/")
        }
    }

    func records() async throws -> [String: LeaseRecord] {
        if let memory { return memory.records }
        let found = Mutex<[String: LeaseRecord]>([:])
        try await session(try otherStore()) { session in
            let leases = try await session.snapshot().leases
            found.withLock { $0 = Dictionary(uniqueKeysWithValues: leases.map { ($0.name, $0) }) }
        }
        return found.withLock { $0 }
    }

    func value(_ name: String) async throws -> String? { try await records()[name]?.text }

    func setReachable(_ isReachable: Bool) {
        memory?.setUnavailable(!isReachable)
        proxy?.setMode(isReachable ? .pass : .hangUp)
    }
}

/// What a stock daemon would write for this host.
func vxlanValue(_ publicIP: String, _ extra: String = "") -> String {
    #"{"PublicIP":"\#(publicIP)","PublicIPv6":null,"BackendType":"vxlan"\#(extra)}"#
}
