import IPNetwork
import Leases
import Logging
import Testing

@testable import EtcdRegistry

/// Members that stop answering. Most of the time nothing happens in these, so that they have a suite of their own.
@Suite(
    .serialized, .enabled(if: EtcdServer.isInstalled, "needs /usr/bin/etcd and /usr/bin/etcdctl"),
    .timeLimit(.minutes(10)))
struct ClusterFaultTests {
    /// Connections stay until the client finds out by itself.
    @Test(arguments: StoreKind.etcds)
    func pausedMember(_ kind: StoreKind) async throws {
        let server = try EtcdServer()
        try await server.start()
        let bed = try await RegistryBed(kind, servers: [server])
        let host = bed.host(previous: "10.5.200.0-24")
        try await host.acquired()
        server.freeze()
        try await host.until("the dead connection is noticed") { $0.condition != .connected }
        server.thaw()
        try bed.put("10.5.34.0-24", leaseValue(34))
        try await host.until("it is back") { $0.condition == .connected && $0.peers.count == 1 }
        await host.stop()
    }

    @Test(arguments: StoreKind.etcds)
    func leaderKilledInAClusterOfThree(_ kind: StoreKind) async throws {
        let cluster = try (1...3).map { try EtcdServer(name: "m\($0)") }
        for member in cluster { try await member.start(cluster: cluster, waits: false) }
        try await eventually("all members answer") {
            cluster.allSatisfy { (try? $0.control("endpoint", "health")) != nil }
        }
        let bed = try await RegistryBed(kind, servers: cluster)
        let host = bed.host(previous: "10.5.200.0-24")
        let own = try await host.acquired()
        let leader = try #require(
            try cluster.first {
                let status = try $0.control("endpoint", "status", "-w", "fields")
                return status.firstMatch(of: /"MemberID" : (\d+)/)?.1 == status.firstMatch(of: /"Leader" : (\d+)/)?.1
            })
        leader.stop()
        try await eventually("a new leader takes a write") {
            (try? bed.put("10.5.34.0-24", leaseValue(34))) != nil
        }
        try await host.until("it arrives") { $0.peers.count == 1 }
        #expect(host.now.own == own)
        // One of the two that are left does not move any more: nobody leads, and who is alive says so.
        let other = try #require(cluster.last { $0 !== leader })
        other.freeze()
        try await host.until("the loss is reported") { $0.condition != .connected }
        other.thaw()
        try await host.until("it is back") { $0.condition == .connected }
        await host.stop()
    }

    /// Members that are not configured are found, and tried when the configured one is gone.
    @Test func othersAreFoundOverV2() async throws {
        let cluster = try (1...3).map { try EtcdServer(name: "m\($0)") }
        for member in cluster { try await member.start(cluster: cluster, waits: false) }
        try await eventually("all members answer") {
            cluster.allSatisfy { (try? $0.control("endpoint", "health")) != nil }
        }
        try cluster[0].control2("set", "/net/config", networkConfig)
        let store = V2SubnetStore(
            configuration: try EtcdConfiguration(endpoints: [cluster[0].clientURL], prefix: "/net"),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            timing: V2Timing(probeInterval: .milliseconds(200), memberInterval: .milliseconds(200)))
        let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1))
        try await host.acquired()
        try await eventually("the others are known") { store.endpoints.count == 3 }
        #expect(store.endpoints.first == cluster[0].clientURL)
        cluster[0].stop()
        try await eventually("a write is taken") {
            (try? cluster[1].control2("set", "/net/subnets/10.5.34.0-24", leaseValue(34))) != nil
        }
        try await host.until("it arrives") { $0.peers.count == 1 }
        await host.stop()
    }
}
