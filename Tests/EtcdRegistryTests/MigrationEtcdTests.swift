import EtcdRegistry
import Foundation
import Logging
import Migration
import Synchronization
import Testing

private let config = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#

private func lease(_ host: Int, mac: Int = 1) -> String {
    #"{"PublicIP":"172.30.0.\#(host)","BackendType":"vxlan","BackendData":{"VtepMAC":"8e:00:00:00:00:0\#(mac)"}}"#
}

/// A network on both APIs of one etcd.
private struct Network: Sendable {
    let server: EtcdServer
    let prefix: String
    let migration: Migration

    init() async throws {
        server = try await SharedEtcd.server()
        prefix = uniquePrefix()
        migration = Migration(
            from: V2SubnetStore(
                configuration: try EtcdConfiguration(
                    endpoints: ["http://127.0.0.1:1", server.clientURL], prefix: prefix,
                    requestTimeout: longRequestTimeout),
                logger: Logger(label: "test")),
            to: V3SubnetStore(
                configuration: try EtcdConfiguration(
                    endpoints: ["http://127.0.0.1:1", server.clientURL], prefix: prefix,
                    requestTimeout: longRequestTimeout),
                logger: Logger(label: "test")))
        try v2("set", "\(prefix)/config", config)
    }

    @discardableResult
    func v2(_ words: String...) throws -> String {
        try run(
            ["/usr/bin/etcdctl", "--endpoints", server.clientURL] + words, environment: ["ETCDCTL_API": "2"])
    }

    @discardableResult
    func v3(_ words: String...) throws -> String {
        try run(["/usr/bin/etcdctl", "--endpoints", server.clientURL] + words, environment: ["ETCDCTL_API": "3"])
    }

    func key(_ name: String) -> String { "\(prefix)/subnets/\(name)" }

    /// The value of a lease, empty when there is none.
    func value(_ side: MigrationSide, _ name: String) -> String {
        let text = try? side == .v2 ? v2("get", key(name)) : v3("get", "--print-value-only", key(name))
        return (text ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Puts a lease on v3 with a time to live, as a daemon.
    func put(_ name: String, _ value: String, seconds: Int = 86400) throws {
        let id = try v3("lease", "grant", "\(seconds)").split(separator: " ")[1]
        try v3("put", "--lease=\(id)", key(name), value)
    }

    /// Seconds that are left on v3; `nil` without a time to live.
    func secondsOnV3(_ name: String) throws -> Int? {
        let fields = try JSONSerialization.jsonObject(with: Data(v3("get", "-w", "json", key(name)).utf8))
        let pairs = (fields as? [String: Any])?["kvs"] as? [[String: Any]]
        guard let id = pairs?.first?["lease"] as? Int64, id != 0 else { return nil }
        let text = try v3("lease", "timetolive", String(id, radix: 16))
        return text.split(separator: "remaining(").last.flatMap { Int($0.prefix { $0.isNumber }) }
    }

    /// Seconds that are left on v2; `nil` without a time to live.
    func secondsOnV2(_ name: String) throws -> Int? {
        let text = try v2("-o", "extended", "get", key(name))
        let line = text.split(separator: "\n").first { $0.hasPrefix("TTL: ") }
        return line.flatMap { Int($0.dropFirst(5)) }.flatMap { $0 == 0 ? nil : $0 }
    }
}

extension EtcdTests {
    @Suite struct MigrationEtcdTests {
        @Test func copiesWithTheTimeThatIsLeft() async throws {
            let network = try await Network()
            try network.v2("set", "--ttl", "5000", network.key("10.5.1.0-24"), lease(1))
            try network.v2("set", network.key("10.5.2.0-24"), lease(2))
            try network.v2("set", "--ttl", "9000", network.key("10.5.3.0-24&fd00:10:5::-64"), lease(3))
            #expect(try await network.migration.plan().steps.count == 4)
            #expect(network.value(.v3, "10.5.1.0-24") == "")

            #expect(try await network.migration.run { _ in }.conflicts.isEmpty)
            for (name, host) in [("10.5.1.0-24", 1), ("10.5.2.0-24", 2), ("10.5.3.0-24&fd00:10:5::-64", 3)] {
                #expect(network.value(.v3, name) == lease(host))
            }
            #expect(try network.v3("get", "--print-value-only", "\(network.prefix)/config").hasPrefix(config))
            let seconds = try #require(try network.secondsOnV3("10.5.1.0-24"))
            #expect((4900...5000).contains(seconds))
            #expect(try network.secondsOnV3("10.5.2.0-24") == nil, "a reservation stays one")
            let again = try await network.migration.plan()
            #expect(again.steps.isEmpty && again.items.allSatisfy { $0.verdict == .same(origin: .v2) })
        }

        @Test func keepsBothInStep() async throws {
            let network = try await Network()
            try network.v2("set", "--ttl", "80000", network.key("10.5.1.0-24"), lease(1))
            try network.v2("set", "--ttl", "80000", network.key("10.5.2.0-24"), lease(2))
            let told = Mutex<[MigrationEvent]>([])
            let task = Task {
                try await network.migration.follow(every: .seconds(1)) { event in told.withLock { $0.append(event) } }
            }
            defer { task.cancel() }
            try await eventually("v2's leases are on v3") { network.value(.v3, "10.5.2.0-24") == lease(2) }

            // A host moves, a v3 daemon's lease is renewed without a write, a v2 daemon renews.
            try network.put("10.5.1.0-24", lease(1, mac: 2))
            try await eventually("the moved host is on v2") { network.value(.v2, "10.5.1.0-24") == lease(1, mac: 2) }
            #expect(try network.secondsOnV2("10.5.1.0-24").map { (86000...86400).contains($0) } == true)
            try network.v2("set", "--ttl", "86400", network.key("10.5.2.0-24"), lease(2))
            try await eventually("v2's renewal is on v3") {
                try network.secondsOnV3("10.5.2.0-24").map { $0 > 85000 } == true
            }

            // New ones and ended ones, on each side.
            try network.put("10.5.4.0-24", lease(4))
            try network.v2("set", "--ttl", "86400", network.key("10.5.3.0-24"), lease(3))
            try await eventually("new leases are copied") {
                network.value(.v2, "10.5.4.0-24") == lease(4) && network.value(.v3, "10.5.3.0-24") == lease(3)
            }
            try network.v3("del", network.key("10.5.4.0-24"))
            try network.v2("rm", network.key("10.5.3.0-24"))
            try await eventually("ended leases are removed") {
                network.value(.v2, "10.5.4.0-24").contains("not found") || network.value(.v2, "10.5.4.0-24").isEmpty
            }
            try await eventually("and on v3") { network.value(.v3, "10.5.3.0-24").isEmpty }

            // And back to v2.
            try network.v2("set", "--ttl", "86400", network.key("10.5.1.0-24"), lease(1, mac: 3))
            try await eventually("the host that went back is on v3") {
                network.value(.v3, "10.5.1.0-24") == lease(1, mac: 3)
            }
            #expect(
                told.withLock { events in
                    events.allSatisfy { event in
                        switch event {
                        case .done: true
                        case .settled(let conflicts): conflicts.isEmpty
                        case .unavailable: false
                        }
                    }
                })
        }

        @Test func followsRenewalsThatNobodySees() async throws {
            let network = try await Network()
            try network.put("10.5.1.0-24", lease(1), seconds: 60)
            try await eventually("a few seconds are gone") {
                try network.secondsOnV3("10.5.1.0-24").map { $0 < 54 } == true
            }
            let task = Task { try await network.migration.follow(every: .milliseconds(500)) { _ in } }
            defer { task.cancel() }
            try await eventually("the lease is on v2") { network.value(.v2, "10.5.1.0-24") == lease(1) }
            #expect(try network.secondsOnV2("10.5.1.0-24").map { $0 <= 54 } == true)
            let fields = try JSONSerialization.jsonObject(
                with: Data(network.v3("get", "-w", "json", network.key("10.5.1.0-24")).utf8))
            let pairs = (fields as? [String: Any])?["kvs"] as? [[String: Any]]
            let id = try #require(pairs?.first?["lease"] as? Int64)
            try await eventually("v2's copy lives longer") {
                // Again, since a busy machine may look when what it got has gone by.
                try network.v3("lease", "keep-alive", "--once", String(id, radix: 16))
                return try network.secondsOnV2("10.5.1.0-24").map { $0 > 55 } == true
            }
        }

        @Test func finishes() async throws {
            let network = try await Network()
            try network.v2("set", "--ttl", "80000", network.key("10.5.1.0-24"), lease(1))
            try network.v2("set", network.key("10.5.2.0-24"), lease(2))
            _ = try await network.migration.run { _ in }
            #expect(try await network.migration.finish().onV2.map(\.host) == ["172.30.0.1"])
            #expect(
                try network.v3("get", "--prefix", "--keys-only", "\(network.prefix)/weft-migration/").contains("config")
            )
            try network.put("10.5.1.0-24", lease(1, mac: 2))
            _ = try await network.migration.run { _ in }
            let end = try await network.migration.planEnd()
            #expect(end.isAllowed && end.copies == ["10.5.1.0-24"] && end.reservations.count == 1)
            #expect(try await network.migration.finish().noteCount == 0)
            #expect(try network.v3("get", "--prefix", "--keys-only", "\(network.prefix)/weft-migration/").isEmpty)
            #expect(network.value(.v3, "10.5.1.0-24") == lease(1, mac: 2))
            try await eventually("v2's copy is gone") { network.value(.v2, "10.5.1.0-24").isEmpty }
            #expect(network.value(.v2, "10.5.2.0-24") == lease(2))
        }

        @Test func tellsWhichRegistryFails() async throws {
            let migration = Migration(
                from: V2SubnetStore(
                    configuration: try EtcdConfiguration(endpoints: ["http://127.0.0.1:1"]),
                    logger: Logger(label: "test")),
                to: V3SubnetStore(
                    configuration: try EtcdConfiguration(endpoints: [try await SharedEtcd.server().clientURL]),
                    logger: Logger(label: "test")))
            let failure = await #expect(throws: MigrationFailure.self) { try await migration.plan() }
            #expect(failure?.side == .v2 && failure?.error.kind == .unavailable)
        }
    }
}
