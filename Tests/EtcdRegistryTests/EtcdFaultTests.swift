import Foundation
import IPNetwork
import Leases
import Testing

@testable import EtcdRegistry

func leaseValue(_ host: Int) -> String {
    #"{"PublicIP":"172.30.\#(host / 256).\#(host % 256)","PublicIPv6":null,"BackendType":"vxlan"}"#
}

/// Writes as many keys as are given, as fast as etcd takes them.
func putAll(_ server: EtcdServer, _ pairs: [(String, String)]) throws {
    // The transaction format of etcdctl: no compares, the puts, nothing on failure.
    for start in stride(from: 0, to: pairs.count, by: 500) {
        let puts = pairs[start..<min(start + 500, pairs.count)].map { key, value in
            "put \(key) \"\(value.replacingOccurrences(of: "\"", with: "\\\""))\""
        }
        try feed(server, "\n" + puts.joined(separator: "\n") + "\n\n\n")
    }
}

func feed(_ server: EtcdServer, _ transaction: String) throws {
    let path = "\(server.directory)/txn-\(UUID().uuidString)"
    try transaction.write(toFile: path, atomically: false, encoding: .utf8)
    try run(["/bin/sh", "-c", "ETCDCTL_API=3 etcdctl --endpoints \(server.clientURL) txn < \(path)"])
    try FileManager.default.removeItem(atPath: path)
}

/// Faults of a real etcd.
extension EtcdTests {
    @Suite(.timeLimit(.minutes(5))) struct EtcdFaultTests {
        @Test func stoppedAndBackOnTheSameData() async throws {
            let server = try EtcdServer()
            try await server.start()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            let host = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            let own = try await host.acquired()
            server.stop()
            try await host.until("the outage is reported") {
                if case .unavailable(let cause) = $0.condition { cause.contains("refused") } else { false }
            }
            try await server.start()
            try server.control("put", "\(prefix)/subnets/10.5.34.0-24", leaseValue(34))
            try await host.until("it follows again") { $0.condition == .connected && $0.peers.count == 1 }
            #expect(host.now.own == own)
            await host.stop()
        }

        @Test func historyCompactedDuringAnOutage() async throws {
            let server = try EtcdServer()
            try await server.start()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            try server.control("put", "\(prefix)/subnets/10.5.34.0-24", leaseValue(34))
            try server.control("put", "\(prefix)/subnets/10.5.35.0-24", leaseValue(35))
            let host = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            try await host.acquired()
            // Frozen, not stopped: connections stay until the client finds out by itself.
            server.freeze()
            try await host.until("the dead connection is noticed") { $0.condition != .connected }
            server.thaw()
            try await host.until("it is back") { $0.condition == .connected }
            server.stop()
            try await server.start()
            try server.control("del", "\(prefix)/subnets/10.5.34.0-24")
            try server.control("put", "\(prefix)/subnets/10.5.36.0-24", leaseValue(36))
            let revision = try server.control("get", "x", "-w", "json").firstMatch(of: /"revision":(\d+)/)?.1
            try server.control("compact", String(try #require(revision)))
            try await host.until("the difference arrives") {
                Set($0.peers.keys.map(\.description)) == ["10.5.35.0-24", "10.5.36.0-24"]
            }
            await host.stop()
        }

        @Test func watchOfACompactedRevisionEndsAsSuch() async throws {
            let server = try EtcdServer()
            try await server.start()
            try server.control("put", "a", "1")
            try server.control("put", "a", "2")
            try server.control("compact", "3")
            try await session(try v3Store(server, prefix: "/p")) { session in
                let end = try await session.watch(after: 1) { _ in }
                #expect(end == .compacted)
            }
        }

        @Test func leaderKilledInAClusterOfThree() async throws {
            let cluster = try (1...3).map { try EtcdServer(name: "m\($0)") }
            for member in cluster { try await member.start(cluster: cluster, waits: false) }
            try await eventually("the cluster answers") {
                (try? cluster[0].control("endpoint", "health")) != nil
            }
            let prefix = uniquePrefix()
            try cluster[0].control("put", "\(prefix)/config", networkConfig)
            let host = RunningRegistry(
                try v3Store(cluster.map(\.clientURL), prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            let own = try await host.acquired()
            let leader = try #require(
                try cluster.first {
                    try $0.control("endpoint", "status", "-w", "fields").firstMatch(of: /"MemberID" : (\d+)/)?.1
                        == $0.control("endpoint", "status", "-w", "fields").firstMatch(of: /"Leader" : (\d+)/)?.1
                })
            leader.stop()
            let alive = try #require(cluster.first { $0 !== leader })
            try await eventually("a new leader takes a write") {
                (try? alive.control("put", "\(prefix)/subnets/10.5.34.0-24", leaseValue(34))) != nil
            }
            try await host.until("it arrives") { $0.peers.count == 1 }
            #expect(host.now.own == own)
            // The last member but one gone: nobody leads.
            let other = try #require(cluster.first { $0 !== leader && $0 !== alive })
            other.stop()
            try await host.until("the loss is reported") { $0.condition != .connected }
            try await other.start(cluster: cluster, waits: false)
            try await host.until("it is back") { $0.condition == .connected }
            await host.stop()
        }

        @Test func renewsBeforeTheEnd() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            let host = RunningRegistry(
                try v3Store(server, prefix: prefix, ttl: .seconds(20)), publicIP: IPv4Address(172, 30, 0, 1),
                renewMargin: .seconds(19))
            let own = try await host.acquired()
            try await eventually("it was renewed often") { host.now.log.count { $0.contains("lease renewed") } >= 5 }
            #expect(try server.control("get", "\(prefix)/subnets/\(own.key)", "-w", "json").contains(#""version":1"#))
            #expect(!host.now.log.contains { $0.contains("gone") })
            await host.stop()
        }

        @Test func takesOverWhatAStockDaemonLeased() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            let granted = try server.control("lease", "grant", "60").split(separator: " ")[1]
            try server.control("put", "\(prefix)/subnets/10.5.7.0-24", leaseValue(1), "--lease=\(granted)")
            let host = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            #expect(try await host.acquired().key.description == "10.5.7.0-24")
            try await eventually("it has a day to live") {
                let id = try server.control("get", "\(prefix)/subnets/10.5.7.0-24", "-w", "json")
                    .firstMatch(of: /"lease":(\d+)/)?.1
                let hexadecimal = String(try #require(id.flatMap { Int64($0) }), radix: 16)
                return try server.control("lease", "timetolive", hexadecimal).contains("granted with TTL(86400s)")
            }
            await host.stop()
        }

        @Test func lostRacesLeaveNoEtcdLeaseBehind() async throws {
            let server = try EtcdServer()
            try await server.start()
            let store = try v3Store(server, prefix: "/p")
            try await session(store) { session in
                await session.prepareCreate()
                let record = try await session.create(name: "a", value: [1]).created()
                for _ in 0..<3 { #expect(try await session.create(name: "a", value: [2]) == .taken(record)) }
                await session.discardPrepared()
            }
            #expect(try server.control("lease", "list").contains("found 1 leases"))
        }

        @Test func anOldSpareIsNotBound() async throws {
            let server = try EtcdServer()
            try await server.start()
            let store = try v3Store(server, prefix: "/p")
            try await session(store) { session in
                await session.prepareCreate()
                let spare = try #require(store.spare.withLock { $0 })
                store.spare.withLock { $0 = SpareLease(id: spare.id, grantedAt: .now - .seconds(61)) }
                _ = try await session.create(name: "a", value: [1]).created()
                let id = String(spare.id, radix: 16)
                #expect(try !server.control("lease", "list").contains(id), "it is revoked")
                #expect(try server.control("lease", "list").contains("found 1 leases"))
            }
        }

        @Test func stoppingIsPromptWhateverTheState() async throws {
            // Nothing answers at this address, nor refuses.
            let store = try v3Store(["http://192.0.2.1:2379", "http://127.0.0.1:1"], prefix: "/p")
            let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
            try await Task.sleep(for: .milliseconds(100))
            await host.stop()
            #expect(host.now.failure is CancellationError)
        }

        @Test func deadEndpointsArePassedOver() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            let host = RunningRegistry(
                try v3Store(["http://127.0.0.1:1", server.clientURL], prefix: prefix),
                publicIP: IPv4Address(172, 30, 0, 1))
            try await host.acquired()
            #expect(host.now.updates.count == 1, "no outage is reported for it")
            await host.stop()
        }

        @Test func oneMebibyteValuesKeepNobodyOut() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            let path = "\(server.directory)/large"
            try String(repeating: "x", count: 1 << 20).write(toFile: path, atomically: false, encoding: .utf8)
            for number in 0..<20 {
                try run([
                    "/bin/sh", "-c",
                    "ETCDCTL_API=3 etcdctl --endpoints \(server.clientURL) put \(prefix)/subnets/10.5.\(number).0-24 < \(path)",
                ])
            }
            let store = try v3Store(server, prefix: prefix)
            let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
            try await host.acquired()
            #expect(host.now.rejections.count == 20)
            try await session(store) { session in
                let sizes = try await session.snapshot().leases.map(\.value.count)
                #expect(sizes.max() == LeaseCodec.sizeLimit + 1, "they aren't kept in memory")
            }
            await host.stop()
        }
    }
}
