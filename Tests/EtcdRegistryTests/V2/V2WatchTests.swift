import EtcdRegistry
import IPNetwork
import Leases
import Logging
import Testing

@testable import EtcdRegistry

extension EtcdTests {
    /// The v2 watch beyond what all registries do.
    @Suite(.timeLimit(.minutes(10))) struct V2WatchTests {
        /// etcd's history holds 1,000 events of the whole store, most of them of others.
        @Test func aQuietWatchKeepsUpWithTheHistory() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control2("set", "\(prefix)/config", networkConfig)
            let store = V2SubnetStore(
                configuration: try EtcdConfiguration(endpoints: [server.clientURL], prefix: prefix),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                timing: V2Timing(longestPoll: .milliseconds(100)))
            let host = RunningRegistry(
                store, publicIP: IPv4Address(172, 30, 0, 1), previous: SubnetKey("10.5.200.0-24"))
            try await host.acquired()
            // What others write; waits end meanwhile.
            let others = try await RegistryBed(.v2)
            try await others.forgetHistory()
            try server.control2("set", "\(prefix)/subnets/10.5.34.0-24", leaseValue(34))
            try await host.until("a change arrives") { $0.peers.count == 1 }
            #expect(!host.now.log.contains { $0.contains("listing leases again") })
            await host.stop()
        }

        @Test func anIndexThatWentBackIsNoticed() async throws {
            let bed = try await RegistryBed(.v2)
            try await session(try bed.otherStore()) { session in
                let revision = try await session.snapshot().revision
                guard case .cancelled(let reason) = try await session.watch(after: revision + 1_000_000, { _ in })
                else {
                    throw Failure(description: "it waits for an index that is long to come")
                }
                #expect(reason.contains("went back"))
            }
        }

        @Test func directoriesAreNoLeases() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control2("set", "\(prefix)/config", networkConfig)
            try server.control2("set", "\(prefix)/subnets/10.5.34.0-24/deep", leaseValue(34))
            let store = try v2Store(server, prefix: prefix)
            let host = RunningRegistry(store, publicIP: IPv4Address(172, 30, 0, 1), previous: SubnetKey("10.5.34.0-24"))
            #expect(try await host.acquired().key.description != "10.5.34.0-24", "the name is taken")
            try server.control2("set", "\(prefix)/subnets/10.5.35.0-24/deep", leaseValue(35))
            try server.control2("rm", "-r", "\(prefix)/subnets/10.5.35.0-24")
            try server.control2("set", "\(prefix)/subnets/10.5.36.0-24", leaseValue(36))
            try await host.until("a lease arrives") { $0.peers.keys.map(\.description) == ["10.5.36.0-24"] }
            await host.stop()
        }

        @Test func aKeyInTheDirectorysPlaceIsNamed() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control2("set", "\(prefix)/config", networkConfig)
            try server.control2("set", "\(prefix)/subnets", "x")
            let host = RunningRegistry(try v2Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            try await host.until("it is said") {
                if case .unavailable(let cause) = $0.condition { cause.contains("not a directory") } else { false }
            }
            await host.stop()
        }

        /// A lease of two families has an ampersand in its name.
        @Test func namesOfTwoFamiliesComeBack() async throws {
            let bed = try await RegistryBed(.v2)
            try await session(try bed.otherStore()) { session in
                let name = "10.5.34.0-24&fd00:10:5::-64"
                let record = try await session.create(name: name, value: Array(leaseValue(34).utf8)).created()
                #expect(record.name == name)
                #expect(try await session.snapshot().leases == [record])
                #expect(try bed.timeToLive(name) != nil)
                #expect(try await session.delete(record))
                #expect(try await session.snapshot().leases.isEmpty)
            }
        }
    }
}
