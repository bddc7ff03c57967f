import EtcdRegistry
import Foundation
import IPNetwork
import Leases
import Logging
import Testing

let networkConfig = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#

func uniquePrefix() -> String { "/weft-test/\(UUID().uuidString)" }

func v3Store(_ server: EtcdServer, prefix: String, ttl: Duration = .seconds(86400)) throws -> V3SubnetStore {
    try v3Store([server.clientURL], prefix: prefix, ttl: ttl)
}

func v3Store(_ urls: [String], prefix: String, ttl: Duration = .seconds(86400)) throws -> V3SubnetStore {
    V3SubnetStore(
        configuration: try EtcdConfiguration(
            endpoints: urls, prefix: prefix, leaseTimeToLive: ttl, renewMargin: ttl / 2),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

func v2Store(_ server: EtcdServer, prefix: String, ttl: Duration = .seconds(86400)) throws -> V2SubnetStore {
    try v2Store([server.clientURL], prefix: prefix, ttl: ttl)
}

func v2Store(_ urls: [String], prefix: String, ttl: Duration = .seconds(86400)) throws -> V2SubnetStore {
    V2SubnetStore(
        configuration: try EtcdConfiguration(
            endpoints: urls, prefix: prefix, leaseTimeToLive: ttl, renewMargin: ttl / 2),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

extension EtcdTests {
    @Suite(.timeLimit(.minutes(5))) struct RegistryEtcdTests {
        @Test func acquiresAndFollows() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control("put", "\(prefix)/config", networkConfig)
            try server.control(
                "put", "\(prefix)/subnets/10.5.34.0-24", #"{"PublicIP":"172.30.0.34","BackendType":"vxlan"}"#)
            let host = RunningRegistry(try v3Store(server, prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            let own = try await host.acquired()
            #expect(host.now.updates.count == 1, "the first update is whole")
            #expect(host.now.peers.keys.map(\.description) == ["10.5.34.0-24"])
            #expect(host.now.condition == .connected)
            #expect(!own.isReservation)

            try server.control(
                "put", "\(prefix)/subnets/10.5.35.0-24", #"{"PublicIP":"172.30.0.35","BackendType":"vxlan"}"#)
            try server.control("del", "\(prefix)/subnets/10.5.34.0-24")
            try await host.until("the changes arrive") { $0.peers.keys.map(\.description) == ["10.5.35.0-24"] }
            await host.stop()
            let key = "\(prefix)/subnets/\(own.key)"
            #expect(try server.control("get", key).contains(#""PublicIP":"172.30.0.1""#), "stopping leaves the lease")
            #expect(try server.control("get", key, "-w", "json").contains(#""lease":"#), "it has a time to live")
        }
    }
}
