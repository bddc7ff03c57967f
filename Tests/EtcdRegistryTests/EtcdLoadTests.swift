import EtcdRegistry
import Foundation
import IPNetwork
import Leases
import Testing

/// Many hosts and many changes at once.
extension EtcdTests {
    @Suite(.timeLimit(.minutes(10))) struct EtcdLoadTests {
        @Test(arguments: StoreKind.etcds)
        func twoStartedTogetherNeverHoldOneSubnet(_ kind: StoreKind) async throws {
            let server = try await SharedEtcd.server()
            for _ in 0..<100 {
                // Four subnets, so that they collide often.
                let bed = try await RegistryBed(
                    kind, config: #"{"Network":"10.5.0.0/22","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#,
                    servers: [server])
                let hosts = (1...2).map { bed.host($0) }
                var keys: Set<SubnetKey> = []
                for host in hosts { keys.insert(try await host.acquired().key) }
                for host in hosts { try await host.until("each sees the other") { $0.peers.count == 1 } }
                #expect(keys.count == 2)
                for host in hosts { await host.stop() }
            }
        }

        @Test(arguments: StoreKind.etcds)
        func thirtyAtOnceInARangeOfThirty(_ kind: StoreKind) async throws {
            let bed = try await RegistryBed(
                kind,
                config:
                    #"{"Network":"10.5.0.0/19","SubnetLen":24,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.30.0","Backend":{"Type":"vxlan"}}"#,
                servers: [try await SharedEtcd.server()])
            let hosts = (1...30).map { bed.host($0) }
            var keys: Set<SubnetKey> = []
            for host in hosts { keys.insert(try await host.acquired().key) }
            #expect(keys.count == 30)
            for host in hosts {
                try await host.until("each sees all others") { $0.peers.count == 29 }
                #expect(Set(host.now.peers.keys) == keys.subtracting([host.now.own?.key].compactMap { $0 }))
            }
            for host in hosts { await host.stop() }
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
