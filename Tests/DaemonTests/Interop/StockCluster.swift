import Foundation
import IPNetwork
import Testing

/// A lab whose hosts run stock daemons of one version, or weftd, with the etcd API that this version speaks.
struct StockCluster: Sendable {
    let lab: TestLab
    let stock: StockDaemon
    /// The userspace plane of udp: one route for all peers, whose next hops the kernel does not know.
    let isUDP: Bool

    /// What a test of a stock version is called with; empty without one, so that the test is skipped.
    struct Setting: Sendable, CustomTestStringConvertible {
        var stock: StockDaemon
        var config: String
        var isUDP: Bool { config == TestLab.udp }
        var testDescription: String { "\(stock.version) \(config)" }
    }

    static let directRouting = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","DirectRouting":true}}"#

    static let settings: [Setting] = [StockDaemon.v3, StockDaemon.v2].compactMap { $0 }.flatMap { stock in
        [TestLab.vxlan, TestLab.hostGateway, directRouting, TestLab.udp].map { Setting(stock: stock, config: $0) }
    }

    static func with(
        _ setting: Setting, hosts: Int, _ body: (StockCluster) async throws -> Void
    ) async throws {
        try await TestLab.with(hosts: hosts, config: nil) { lab in
            let cluster = StockCluster(lab: lab, stock: setting.stock, isUDP: setting.isUDP)
            try cluster.put("config", setting.config)
            try await body(cluster)
        }
    }

    private var isV2: Bool { stock.api == "v2" }

    // MARK: Registry

    /// - Parameter key: what follows the prefix.
    func put(_ key: String, _ value: String, seconds: Int? = nil) throws {
        let path = "\(TestLab.prefix)/\(key)"
        if isV2 {
            try etcdctl(["set"] + (seconds.map { ["--ttl", "\($0)"] } ?? []) + [path, value])
        } else {
            try lab.client.put(path, value, lease: try seconds.map { try lab.client.grant(seconds: $0) } ?? 0)
        }
    }

    func delete(_ key: String) throws {
        if isV2 {
            try etcdctl(["rm", "\(TestLab.prefix)/\(key)"])
        } else {
            try lab.client.delete("\(TestLab.prefix)/\(key)")
        }
    }

    /// A key under `subnets/`.
    struct Record: Equatable {
        var name: String
        var value: String
        /// Bound to a lease, or with a TTL.
        var expires: Bool
    }

    func records() throws -> [Record] {
        guard isV2 else {
            return try lab.client.list(prefix: lab.key("")).map {
                Record(
                    name: $0.key.split(separator: "/").last.map(String.init) ?? "",
                    value: String(decoding: $0.value, as: UTF8.self), expires: $0.lease != 0)
            }
        }
        let answer = try HTTPConnection(namespace: lab.client.namespace, address: lab.client.address, port: 2379)
            .get("/v2/keys\(TestLab.prefix)/subnets?quorum=true")
        let node = (try JSONSerialization.jsonObject(with: answer.body) as? [String: Any])?["node"] as? [String: Any]
        return (node?["nodes"] as? [[String: Any]] ?? []).map { item in
            let key = item["key"] as? String ?? ""
            return Record(
                name: key.split(separator: "/").last.map(String.init) ?? "", value: item["value"] as? String ?? "",
                expires: item["ttl"] != nil)
        }.sorted { $0.name < $1.name }
    }

    func leases() throws -> [ExpectedLease] {
        try records().compactMap { try ExpectedLease(name: $0.name, value: $0.value) }
    }

    func lease(of host: LabHost) throws -> ExpectedLease {
        let held = try leases().filter { $0.publicIP == host.address }
        guard held.count == 1 else { throw Failure("\(host.address) holds \(held.count) leases") }
        return held[0]
    }

    private func etcdctl(_ words: [String]) throws {
        try run(
            ["ip", "netns", "exec", lab.switchNamespace, "env", "ETCDCTL_API=2", "etcdctl", "--endpoints"]
                + [lab.endpoints] + words)
    }

    // MARK: Daemons

    /// Starts weftd and waits until it is ready and has a route of its own to each of `peers`.
    func startWeft(_ host: LabHost, peers: Int) async throws {
        try host.start(isV2 ? ["--etcd-api=v2"] : [])
        try await host.waitUntilReady()
        try await eventually("weftd's own routes") {
            guard !isUDP else { return host.health("/readyz")?.body.contains("tunnel:") ?? false }
            return try host.kernelText().count { $0.hasPrefix("route 10.5.") && $0.contains("proto 119") } == peers
        }
    }

    func startStock(_ host: LabHost, peers: Int) async throws { try await stock.start(host, peers: peers) }

    /// Waits until every host has a route to every other. A stock daemon does not learn of leases that come while it
    /// starts; another start finds them.
    func makeWhole(_ stockHosts: [LabHost]) async throws {
        let all = lab.hosts.count - 1
        guard !isUDP else {
            for host in stockHosts {
                host.stop(SIGKILL)
                try await stock.start(host, peers: all)
            }
            return
        }
        func isWhole(_ host: LabHost) throws -> Bool {
            try host.kernelText().count { $0.hasPrefix("route 10.5.") } == all
        }
        for host in stockHosts {
            let time = try? await eventually("whole", within: .seconds(3)) { try isWhole(host) }
            if time == nil {
                host.stop(SIGKILL)
                try await stock.start(host, peers: all)
            }
        }
        try await eventually("all have routes to all") { try lab.hosts.allSatisfy(isWhole) }
    }

    /// Starts stock on all hosts; those that came first may have missed the later ones, and are started again.
    func startStockEverywhere() async throws {
        for (number, host) in lab.hosts.enumerated() { try await stock.start(host, peers: number) }
        for host in lab.hosts {
            host.stop(SIGKILL)
            try await stock.start(host, peers: lab.hosts.count - 1)
        }
    }
}
