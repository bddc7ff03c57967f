import Foundation
import IPNetwork
import Leases
import Logging
import Testing

@testable import EtcdRegistry

extension EtcdTests {
    /// The choice of an API, against real etcds.
    @Suite(.timeLimit(.minutes(10))) struct AutoStoreTests {
        private func store(_ urls: [String], prefix: String, logs: LogLines? = nil) throws -> AutoSubnetStore {
            AutoSubnetStore(
                configuration: try EtcdConfiguration(
                    endpoints: urls, prefix: prefix, requestTimeout: longRequestTimeout),
                logger: logs?.logger ?? Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                lookInterval: .milliseconds(100))
        }

        private func keys(_ server: EtcdServer, _ prefix: String) throws -> (v2: Bool, v3: Bool) {
            let old = (try? server.control2("ls", "\(prefix)/subnets")) ?? ""
            let new = try server.control("get", "--prefix", "\(prefix)/subnets/")
            return (old.contains("10."), new.contains("10."))
        }

        @Test func takesTheOneWithTheConfig() async throws {
            let server = try await SharedEtcd.server()
            for version in [EtcdAPIVersion.v2, .v3] {
                let prefix = uniquePrefix()
                if version == .v2 {
                    try server.control2("set", "\(prefix)/config", networkConfig)
                } else {
                    try server.control("put", "\(prefix)/config", networkConfig)
                }
                let host = RunningRegistry(
                    try store([server.clientURL], prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
                try await host.acquired()
                let conditions = Set(host.now.updates.compactMap(\.condition))
                #expect(conditions == [.connected], "no outage is reported")
                #expect(try keys(server, prefix) == (version == .v2, version == .v3))
                await host.stop()
            }
        }

        @Test func waitsForAConfigInEither() async throws {
            let server = try await SharedEtcd.server()
            for version in [EtcdAPIVersion.v2, .v3] {
                let prefix = uniquePrefix()
                let host = RunningRegistry(
                    try store(["http://127.0.0.1:1", server.clientURL], prefix: prefix),
                    publicIP: IPv4Address(172, 30, 0, 1))
                try await host.until("it says what is missing") {
                    guard case .unavailable(let cause) = $0.condition else { return false }
                    return cause.contains("etcdctl put \(prefix)/config")
                        && cause.contains("etcdctl set \(prefix)/config")
                }
                if version == .v2 {
                    try server.control2("set", "\(prefix)/config", networkConfig)
                } else {
                    try server.control("put", "\(prefix)/config", networkConfig)
                }
                try await host.acquired()
                #expect(try keys(server, prefix) == (version == .v2, version == .v3))
                await host.stop()
            }
        }

        @Test func refusesToGuessBetweenTwo() async throws {
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            try server.control2("set", "\(prefix)/config", networkConfig)
            try server.control(
                "put", "\(prefix)/config", networkConfig.replacingOccurrences(of: "10.5.", with: "10.6."))
            let host = RunningRegistry(
                try store([server.clientURL], prefix: prefix), publicIP: IPv4Address(172, 30, 0, 1))
            try await host.until("it says so") {
                guard case .unavailable(let cause) = $0.condition else { return false }
                return cause.contains("10.5.0.0") && cause.contains("10.6.0.0") && cause.contains("--etcd-api")
            }
            #expect(try keys(server, prefix) == (false, false))
            // The operator makes them equal: v3 it is, and v2 no longer matters.
            try server.control("put", "\(prefix)/config", networkConfig)
            try await host.acquired()
            try server.control2(
                "set", "\(prefix)/config", networkConfig.replacingOccurrences(of: "10.5.", with: "10.7."))
            #expect(try keys(server, prefix) == (false, true))
            try server.control("put", "\(prefix)/subnets/10.5.34.0-24", leaseValue(34))
            try await host.until("it follows v3") { $0.peers.count == 1 }
            await host.stop()
        }

        @Test func withoutTheV2API() async throws {
            let server = try EtcdServer(enablesV2: false)
            try await server.start()
            let host = RunningRegistry(
                try store([server.clientURL], prefix: "/net"), publicIP: IPv4Address(172, 30, 0, 1))
            try await host.until("it says what is missing") {
                guard case .unavailable(let cause) = $0.condition else { return false }
                return cause.contains("etcdctl put /net/config") && !cause.contains("etcdctl set")
            }
            try server.control("put", "/net/config", networkConfig)
            try await host.acquired()
            await host.stop()
            // The v2 store alone says how to get it.
            await #expect(throws: StoreError.self) {
                try await session(try v2Store(server, prefix: "/net")) { _ = try await $0.snapshot() }
            }
            do {
                try await session(try v2Store(server, prefix: "/net")) { _ = try await $0.snapshot() }
            } catch let error as StoreError {
                #expect(error.kind == .unsupported && error.description.contains("--enable-v2"))
            }
        }
    }
}
