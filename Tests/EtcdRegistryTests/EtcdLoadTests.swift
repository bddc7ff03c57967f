import EtcdRegistry
import Foundation
import IPNetwork
import Leases
import Testing

/// Many hosts and many changes at once.
extension EtcdTests {
    @Suite(.timeLimit(.minutes(5))) struct EtcdLoadTests {
        @Test func twoStartedTogetherNeverHoldOneSubnet() async throws {
            let server = try await SharedEtcd.server()
            for _ in 0..<200 {
                let prefix = uniquePrefix()
                // Four subnets, so that they collide often.
                try server.control(
                    "put", "\(prefix)/config", #"{"Network":"10.5.0.0/22","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#)
                let hosts = try (1...2).map {
                    RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, UInt8($0)))
                }
                var keys: Set<SubnetKey> = []
                for host in hosts { keys.insert(try await host.acquired().key) }
                for host in hosts { try await host.until("each sees the other") { $0.peers.count == 1 } }
                #expect(keys.count == 2)
                for host in hosts { await host.stop() }
            }
        }

        @Test func thirtyAtOnceInARangeOfThirty() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control(
                "put", "\(prefix)/config",
                #"{"Network":"10.5.0.0/19","SubnetLen":24,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.30.0","Backend":{"Type":"vxlan"}}"#
            )
            let hosts = try (1...30).map {
                RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, UInt8($0)))
            }
            var keys: Set<SubnetKey> = []
            for host in hosts { keys.insert(try await host.acquired().key) }
            #expect(keys.count == 30)
            for host in hosts {
                try await host.until("each sees all others") { $0.peers.count == 29 }
                #expect(Set(host.now.peers.keys) == keys.subtracting([host.now.own?.key].compactMap { $0 }))
            }
            for host in hosts { await host.stop() }
        }

        @Test func aThousandChangesEndInTheExactState() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control(
                "put", "\(prefix)/config",
                #"{"Network":"10.0.0.0/8","SubnetMin":"10.200.0.0","Backend":{"Type":"vxlan"}}"#)
            let host = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 31, 0, 1))
            try await host.acquired()
            let writer = try v3Store(server, prefix: prefix)
            // Half of them stay; every third is written twice, every second deleted.
            try await session(writer) { session in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...1000 {
                        if number > 32 { try await group.next() }
                        group.addTask {
                            let name = "10.\(100 + number / 250).\(number % 250).0-24"
                            var record = try await session.create(name: name, value: Array(leaseValue(number).utf8))
                                .created()
                            if number % 3 == 0,
                                case .written(let written) = try await session.replace(
                                    record, value: Array(leaseValue(number + 5000).utf8))
                            {
                                record = written
                            }
                            if number % 2 == 0 { _ = try await session.delete(record) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await host.until("all have arrived") { state in
                state.peers.count == 500
                    && state.peers.values.allSatisfy { lease in
                        lease.attributes.publicIP.map { $0.rawValue > 0 } ?? false
                    }
            }
            let listed = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 31, 0, 2))
            try await listed.acquired()
            let expected = listed.now.peers.filter { $0.key != host.now.own?.key }
            try await host.until("exactly what a new list shows") {
                $0.peers.filter { $0.key != listed.now.own?.key } == expected
            }
            await host.stop()
            await listed.stop()
        }

        @Test func tenThousandLeases() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control(
                "put", "\(prefix)/config",
                #"{"Network":"10.0.0.0/8","SubnetMin":"10.200.0.0","Backend":{"Type":"vxlan"}}"#)
            try putAll(
                server,
                (0..<10_000).map { ("\(prefix)/subnets/10.\(1 + $0 / 256).\($0 % 256).0-24", leaseValue($0 + 256)) })
            let host = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 31, 255, 1))
            try await host.acquired()
            let now = host.now
            #expect(
                now.updates.count == 1 && now.peers.count == 10_000, "\(now.peers.count) \(now.rejections.prefix(3))")
            await host.stop()
        }
    }
}
