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
    @Suite(.timeLimit(.minutes(10))) struct EtcdFaultTests {
        @Test(arguments: StoreKind.etcds)
        func stoppedAndBackOnTheSameData(_ kind: StoreKind) async throws {
            let server = try EtcdServer()
            try await server.start()
            let bed = try await RegistryBed(kind, servers: [server])
            let host = bed.host()
            let own = try await host.acquired()
            server.stop()
            try await host.until("the outage is reported") {
                if case .unavailable(let cause) = $0.condition { cause.contains("refused") } else { false }
            }
            try await server.start()
            try bed.put("10.5.34.0-24", leaseValue(34))
            try await host.until("it follows again") { $0.condition == .connected && $0.peers.count == 1 }
            #expect(host.now.own == own)
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func historyForgottenDuringAnOutage(_ kind: StoreKind) async throws {
            let server = try EtcdServer()
            try await server.start()
            let bed = try await RegistryBed(kind, servers: [server])
            try bed.put("10.5.34.0-24", leaseValue(34))
            try bed.put("10.5.35.0-24", leaseValue(35))
            let host = bed.host(previous: "10.5.200.0-24")
            try await host.acquired()
            server.stop()
            try await host.until("the outage is reported") { $0.condition != .connected }
            try await server.start()
            try bed.remove("10.5.34.0-24")
            try bed.put("10.5.36.0-24", leaseValue(36))
            try await bed.forgetHistory()
            try await host.until("the difference arrives") {
                Set($0.peers.keys.map(\.description)) == ["10.5.35.0-24", "10.5.36.0-24"]
            }
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func watchOfAForgottenRevisionEndsAsSuch(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try await session(try bed.otherStore()) { session in
                let revision = try await session.snapshot().revision
                try bed.put("10.5.34.0-24", leaseValue(34))
                try bed.put("10.5.35.0-24", leaseValue(35))
                try await bed.forgetHistory()
                let end = try await session.watch(after: revision) { _ in }
                #expect(end == .compacted)
            }
        }

        @Test(arguments: StoreKind.etcds)
        func takesOverWhatAStockDaemonLeased(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.7.0-24", leaseValue(1), seconds: 60)
            let host = bed.host()
            #expect(try await host.acquired().key.description == "10.5.7.0-24")
            let seconds = try #require(try bed.timeToLive("10.5.7.0-24"))
            #expect((86_000...86_400).contains(seconds), "it has a day to live")
            await host.stop()
        }

        /// v2 has no quota.
        @Test func diskQuotaUsedUp() async throws {
            let server = try EtcdServer(options: ["--quota-backend-bytes", "\(4 << 20)"])
            try await server.start()
            let bed = try await RegistryBed(.v3, servers: [server])
            try bed.put("10.5.34.0-24", leaseValue(34))
            let host = bed.host(previous: "10.5.7.0-24")
            try await host.acquired()
            let path = "\(server.directory)/large"
            try String(repeating: "x", count: 1 << 20).write(toFile: path, atomically: false, encoding: .utf8)
            try await eventually("the quota is used up") {
                (try? run([
                    "/bin/sh", "-c", "ETCDCTL_API=3 etcdctl --endpoints \(server.clientURL) put large < \(path)",
                ]))
                    == nil
            }
            try bed.remove("10.5.7.0-24")
            try await host.until("it is said") { state in
                state.log.contains { $0.hasPrefix("error") && $0.contains("quota") && $0.contains("alarm disarm") }
            }
            try bed.remove("10.5.34.0-24")
            try await host.until("peers are followed all the same") { $0.peers.isEmpty }
            #expect(host.now.own?.key.description == "10.5.7.0-24")
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

    }
}
