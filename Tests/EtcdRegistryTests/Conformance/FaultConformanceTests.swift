import EtcdRegistry
import Foundation
import IPNetwork
import Leases
import Testing

/// What happens between a host and its registry, over every kind of it.
@Suite(.serialized, .timeLimit(.minutes(10))) enum ConnectionConformanceTests {}

extension ConnectionConformanceTests {
    /// Outages and spoilt answers.
    @Suite struct FaultTests {
        @Test(arguments: StoreKind.available)
        func outageIsReportedAndHealed(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            try bed.put("10.5.34.0-24", leaseValue(34))
            try bed.put("10.5.35.0-24", leaseValue(35))
            let host = bed.host(previous: "10.5.200.0-24")
            let own = try await host.acquired()
            let seen = host.now.updates.count
            bed.setReachable(false)
            try await host.until("it is reported") { $0.condition != .connected }
            try bed.remove("10.5.34.0-24")
            try bed.put("10.5.36.0-24", leaseValue(36))
            bed.setReachable(true)
            try await host.until("the difference arrives") {
                $0.condition == .connected
                    && Set($0.peers.keys.map(\.description)) == ["10.5.35.0-24", "10.5.36.0-24"]
            }
            #expect(host.now.own == own)
            #expect(
                host.now.updates[seen...].allSatisfy {
                    $0.changes.updated.keys.allSatisfy { $0.description == "10.5.36.0-24" }
                }, "what was known is not published again")
            #expect(host.now.log.count { $0.hasPrefix("warning registry unavailable") } <= 4)
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func slowAnswersAreWaitedFor(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind, requestTimeout: longRequestTimeout)
            for host in 34...60 { try bed.put("10.5.\(host).0-24", leaseValue(host)) }
            bed.proxy?.setMode(.slow(milliseconds: 200))
            let host = bed.host(previous: "10.5.200.0-24")
            try await host.acquired()
            #expect(host.now.peers.count == 27)
            try bed.put("10.5.61.0-24", leaseValue(61))
            try await host.until("a change arrives") { $0.peers.count == 28 }
            #expect(!host.now.log.contains { $0.contains("registry unavailable") })
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds, [1, 40, 300, 2_000])
        func answersCutShortHarmNothing(_ kind: StoreKind, _ bytes: Int) async throws {
            try await survives(kind, .truncate(after: bytes))
        }

        @Test(arguments: StoreKind.etcds)
        func garbledAnswersHarmNothing(_ kind: StoreKind) async throws {
            try await survives(kind, .garble)
        }

        private func survives(_ kind: StoreKind, _ mode: TCPProxy.Mode) async throws {
            let bed = try await RegistryBed(kind)
            for host in 34...60 { try bed.put("10.5.\(host).0-24", leaseValue(host)) }
            let host = bed.host(previous: "10.5.200.0-24")
            let own = try await host.acquired()
            let peers = host.now.peers
            bed.proxy?.setMode(mode)
            try await host.until("it is noticed") { $0.condition != .connected }
            #expect(host.now.peers == peers && host.now.own == own, "nothing of it is believed")
            try bed.put("10.5.61.0-24", leaseValue(61))
            bed.proxy?.setMode(.pass)
            try await host.until("all is well again") { $0.condition == .connected && $0.peers.count == 28 }
            #expect(host.now.own == own && host.now.rejections.isEmpty)
            await host.stop()
        }

        @Test(arguments: StoreKind.available)
        func aThousandChangesEndInTheExactState(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(
                kind, config: #"{"Network":"10.0.0.0/8","SubnetMin":"10.200.0.0","Backend":{"Type":"vxlan"}}"#)
            let host = bed.host()
            let own = try await host.acquired()
            // Half of them stay; every third is written twice, every second deleted.
            try await session(try bed.otherStore()) { session in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...1000 {
                        if number > 32 { try await group.next() }
                        group.addTask { try await Self.change(number, session) }
                    }
                    try await group.waitForAll()
                }
            }
            let records = try await bed.records()
            #expect(records.count == 501)
            let expected = Dictionary(
                uniqueKeysWithValues: try records.values.map { try LeaseCodec.decode($0) }
                    .filter { $0.key != own.key }.map { ($0.key, $0.attributes) })
            try await host.until("exactly what the registry holds") { $0.peers.mapValues(\.attributes) == expected }
            await host.stop()
        }

        private static func change(_ number: Int, _ session: any SubnetSession) async throws {
            let name = "10.\(100 + number / 250).\(number % 250).0-24"
            var record = try await session.create(name: name, value: Array(leaseValue(number + 300).utf8)).created()
            if number % 3 == 0,
                case .written(let written) = try await session.replace(
                    record, value: Array(leaseValue(number + 5000).utf8))
            {
                record = written
            }
            if number % 2 == 0 { _ = try await session.delete(record) }
        }

        @Test(arguments: StoreKind.etcds)
        func manyChangesDuringAStallEndInTheExactState(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(
                kind, config: #"{"Network":"10.0.0.0/8","SubnetMin":"10.200.0.0","Backend":{"Type":"vxlan"}}"#)
            let host = bed.host()
            let own = try await host.acquired()
            bed.proxy?.setMode(.stall)
            // More than v2's history holds.
            try await session(try bed.otherStore()) { session in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...1000 {
                        if number > 32 { try await group.next() }
                        group.addTask { try await Self.change(number, session) }
                    }
                    try await group.waitForAll()
                }
            }
            bed.proxy?.setMode(.pass)
            let records = try await bed.records()
            let expected = Set(records.keys).subtracting([own.key.description])
            try await host.until("exactly what the registry holds") {
                Set($0.peers.keys.map(\.description)) == expected
            }
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func oneMebibyteValuesKeepNobodyOut(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(kind)
            let large = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
            try await session(try bed.otherStore()) { session in
                for number in 0..<20 { _ = try await session.create(name: "10.5.\(number).0-24", value: large) }
                let sizes = try await session.snapshot().leases.map(\.value.count)
                #expect(sizes.max() == LeaseCodec.sizeLimit + 1, "they aren't kept in memory")
            }
            let host = bed.host()
            try await host.acquired()
            #expect(host.now.rejections.count == 20)
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func deadEndpointsArePassedOver(_ kind: StoreKind) async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            let urls = ["http://127.0.0.1:1", server.clientURL]
            let store: any SubnetStore
            if kind == .v2 {
                try server.control2("set", "\(prefix)/config", networkConfig)
                store = try v2Store(urls, prefix: prefix, requestTimeout: longRequestTimeout)
            } else {
                try server.control("put", "\(prefix)/config", networkConfig)
                store = try v3Store(urls, prefix: prefix, requestTimeout: longRequestTimeout)
            }
            let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
            try await host.acquired()
            #expect(host.now.updates.count == 1, "no outage is reported for it")
            await host.stop()
        }

        @Test(arguments: StoreKind.etcds)
        func stoppingIsPromptWhateverTheState(_ kind: StoreKind) async throws {
            // Nothing answers at this address, nor refuses.
            let urls = ["http://192.0.2.1:2379", "http://127.0.0.1:1"]
            let store: any SubnetStore =
                kind == .v2 ? try v2Store(urls, prefix: "/p") : try v3Store(urls, prefix: "/p")
            let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
            try await Task.sleep(for: .milliseconds(100))
            await host.stop()
            #expect(host.now.failure is CancellationError)
        }
    }
}
