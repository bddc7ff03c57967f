import EtcdRegistry
import Foundation
import IPNetwork
import Leases
import Logging
import Synchronization
import Testing

private let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// An authority, a certificate for 127.0.0.1 and one for a client.
private struct Certificates {
    let directory: String

    init() throws {
        directory = try temporaryDirectory("weft-tls")
        let script = """
            set -e; cd \(directory)
            printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > san
            for ca in ca other; do
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $ca.key -out $ca.pem \
                    -days 2 -subj /CN=$ca
            done
            for who in server client; do
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
                openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out $who.pem
            done
            """
        try run(["/bin/sh", "-c", script])
    }

    func file(_ name: String) -> String { "\(directory)/\(name)" }
}

extension EtcdTests {
    @Suite(.timeLimit(.minutes(10))) struct EtcdSecurityTests {
        private func store(
            _ kind: StoreKind, _ url: String, tls: EtcdTLS = EtcdTLS(), user: EtcdCredentials? = nil
        ) throws -> any SubnetStore {
            let configuration = try EtcdConfiguration(endpoints: [url], prefix: "/net", tls: tls, credentials: user)
            return kind == .v2
                ? V2SubnetStore(configuration: configuration, logger: silent)
                : V3SubnetStore(configuration: configuration, logger: silent)
        }

        private func failure(_ store: any SubnetStore) async throws -> StoreError? {
            do {
                try await session(store) { _ = try await $0.snapshot() }
                return nil
            } catch let error as StoreError {
                return error
            }
        }

        @Test(arguments: StoreKind.etcds)
        func mutualTLS(_ kind: StoreKind) async throws {
            let files = try Certificates()
            defer { try? FileManager.default.removeItem(atPath: files.directory) }
            let server = try EtcdServer(
                scheme: "https",
                options: [
                    "--cert-file", files.file("server.pem"), "--key-file", files.file("server.key"),
                    "--client-cert-auth",
                    "--trusted-ca-file", files.file("ca.pem"),
                ])
            try await server.start()
            let whole = EtcdTLS(
                caFile: files.file("ca.pem"), certificateFile: files.file("client.pem"),
                keyFile: files.file("client.key"))
            let host = RunningRegistry(
                try store(kind, server.clientURL, tls: whole), publicIP: IPv4Address(172, 30, 0, 1))
            try await session(try store(kind, server.clientURL, tls: whole)) { session in
                let snapshot = try await session.snapshot()
                #expect(snapshot.config == nil)
            }
            await host.stop()
            let named = server.clientURL.replacingOccurrences(of: "127.0.0.1", with: "localhost")
            let byName = try await failure(store(kind, named, tls: whole))
            #expect(byName == nil)

            let foreign = EtcdTLS(
                caFile: files.file("other.pem"), certificateFile: files.file("client.pem"),
                keyFile: files.file("client.key"))
            let distrusted = try #require(try await failure(store(kind, server.clientURL, tls: foreign)))
            #expect(distrusted.kind == .unavailable && distrusted.description.contains("etcd-cafile"), "\(distrusted)")
            let anonymous = try #require(
                try await failure(store(kind, server.clientURL, tls: EtcdTLS(caFile: files.file("ca.pem")))))
            #expect(anonymous.kind == .unavailable, "\(anonymous)")
            let plain = try #require(
                try await failure(store(kind, server.clientURL.replacingOccurrences(of: "https", with: "http"))))
            #expect(plain.kind == .unavailable && plain.description.contains("TLS"), "\(plain)")
            let garbled = EtcdTLS(caFile: files.file("san"))
            let unusable = try #require(try await failure(store(kind, server.clientURL, tls: garbled)))
            #expect(unusable.description.contains("PEM"), "\(unusable)")
        }

        @Test(arguments: StoreKind.etcds)
        func anIgnoredUserIsSaidOnce(_ kind: StoreKind) async throws {
            let server = try await SharedEtcd.server()
            let lines = Mutex<[String]>([])
            let logs = LogLines()
            logs.handle = { line in lines.withLock { $0.append(line) } }
            let configuration = try EtcdConfiguration(
                endpoints: [server.clientURL], credentials: EtcdCredentials(user: "weft", password: "secret"))
            let store: any SubnetStore =
                kind == .v2
                ? V2SubnetStore(configuration: configuration, logger: logs.logger)
                : V3SubnetStore(configuration: configuration, logger: logs.logger)
            for _ in 0..<3 { try await session(store) { _ = try await $0.snapshot() } }
            #expect(lines.withLock { $0 }.count { $0.contains("does not use authentication") } == 1)
        }

        @Test func userAndPassword() async throws {
            let server = try EtcdServer(options: ["--auth-token", "simple"])
            try await server.start()
            try server.control("put", "/net/config", networkConfig)
            try server.control("user", "add", "root:root")
            try server.control("user", "grant-role", "root", "root")
            try server.control("role", "add", "weft")
            try server.control("user", "add", "weft:secret")
            try server.control("user", "grant-role", "weft", "weft")
            try server.control("auth", "enable")

            let none = try #require(try await failure(store(.v3, server.clientURL)))
            #expect(none.kind == .unauthenticated && none.description.contains("etcd-username"), "\(none)")
            let wrong = try #require(
                try await failure(store(.v3, server.clientURL, user: EtcdCredentials(user: "weft", password: "x"))))
            #expect(wrong.kind == .unauthenticated && wrong.description.contains("password"), "\(wrong)")
            let user = EtcdCredentials(user: "weft", password: "secret")
            let denied = try #require(try await failure(store(.v3, server.clientURL, user: user)))
            #expect(denied.kind == .permissionDenied, "\(denied)")
            #expect(
                denied.description.contains("/net/subnets/") && denied.description.contains("grant-permission"),
                "\(denied)")

            for permission in [["read", "/net/config"], ["readwrite", "/net/subnets/", "--prefix=true"]] {
                try run(
                    [
                        "/usr/bin/etcdctl", "--endpoints", server.clientURL, "--user", "root:root", "role",
                        "grant-permission", "weft",
                    ]
                        + permission, environment: ["ETCDCTL_API": "3"])
            }
            let host = RunningRegistry(
                try store(.v3, server.clientURL, user: user), publicIP: IPv4Address(172, 30, 0, 1))
            let own = try await host.acquired()
            try await host.until("it is renewed or fresh") { _ in true }
            // A restart forgets the tokens.
            server.stop()
            try await server.start()
            try await host.until("it is back") { $0.condition == .connected }
            try server.control("--user", "root:root", "del", "/net/subnets/\(own.key)")
            try await eventually("the lease is claimed again with a new token") {
                try server.control("--user", "root:root", "get", "/net/subnets/\(own.key)").contains("172.30.0.1")
            }
            await host.stop()
        }

        /// v2 has users and roles of its own.
        @Test func userAndPasswordOfV2() async throws {
            let server = try EtcdServer()
            try await server.start()
            func root(_ arguments: String...) throws -> String {
                try run(
                    ["/usr/bin/etcdctl", "--endpoints", server.clientURL, "-u", "root:root"] + arguments,
                    environment: ["ETCDCTL_API": "2"])
            }
            try server.control2("set", "/net/config", networkConfig)
            for (name, password) in [("root", "root"), ("weft", "secret")] {
                // etcdctl asks for a password on the terminal.
                try run([
                    "/usr/bin/curl", "-sf", "-X", "PUT", "\(server.clientURL)/v2/auth/users/\(name)", "-d",
                    #"{"user":"\#(name)","password":"\#(password)"}"#,
                ])
            }
            try server.control2("role", "add", "weft")
            try server.control2("user", "grant", "weft", "--roles", "weft")
            try server.control2("auth", "enable")
            _ = try root("role", "revoke", "guest", "--readwrite", "--path", "/*")

            let none = try #require(try await failure(store(.v2, server.clientURL)))
            #expect(none.kind == .unauthenticated && none.description.contains("etcd-username"), "\(none)")
            let wrong = try #require(
                try await failure(store(.v2, server.clientURL, user: EtcdCredentials(user: "weft", password: "x"))))
            #expect(wrong.kind == .unauthenticated && wrong.description.contains("password"), "\(wrong)")
            let user = EtcdCredentials(user: "weft", password: "secret")
            let denied = try #require(try await failure(store(.v2, server.clientURL, user: user)))
            #expect(denied.description.contains("/net/"), "\(denied)")

            _ = try root("role", "grant", "weft", "--read", "--path", "/net/*")
            let host = RunningRegistry(
                try store(.v2, server.clientURL, user: user), publicIP: IPv4Address(172, 30, 0, 1))
            try await host.until("it may read, and not write") {
                if case .unavailable(let cause) = $0.condition { cause.contains("may not write") } else { false }
            }
            _ = try root("role", "grant", "weft", "--readwrite", "--path", "/net/subnets/*")
            let own = try await host.acquired()
            // Revoked while it runs: nothing is lost, and it is back with the right.
            _ = try root("role", "revoke", "weft", "--readwrite", "--path", "/net/subnets/*")
            _ = try root("role", "revoke", "weft", "--read", "--path", "/net/*")
            _ = try root("set", "/net/subnets/10.5.34.0-24", leaseValue(34))
            try await host.until("it is said") {
                if case .unavailable(let cause) = $0.condition { cause.contains("no right to read") } else { false }
            }
            #expect(host.now.own == own)
            _ = try root("role", "grant", "weft", "--read", "--path", "/net/*")
            _ = try root("role", "grant", "weft", "--readwrite", "--path", "/net/subnets/*")
            try await host.until("it is back") { $0.condition == .connected && $0.peers.count == 1 }
            await host.stop()
        }
    }
}
