import Foundation
import Leases
import Logging
import Synchronization
import Testing

@testable import EtcdRegistry

/// Answers like an etcd without any keys, and closes each connection when it is used again.
private final class ForgetfulServer: Sendable {
    struct State {
        var connections = 0
        var requests: [String] = []
    }

    let port: Int
    let state = Mutex(State())
    private let listener: Int32

    init() throws {
        (listener, port) = try listeningSocket()
        Thread.detachNewThread { [weak self, listener] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    if errno == EINTR { continue }
                    return
                }
                guard let server = self else { return }
                server.state.withLock { $0.connections += 1 }
                Thread.detachNewThread { server.serve(client) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private func serve(_ client: Int32) {
        defer {
            // A process that another test has started meanwhile may hold the descriptor too.
            shutdown(client, Int32(SHUT_RDWR))
            close(client)
        }
        guard note(client) else { return }
        let body = #"{"errorCode":100,"message":"Key not found","cause":"/","index":7}"#
        let answer =
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nX-Etcd-Index: 7\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        _ = Array(answer.utf8).withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        _ = note(client)
    }

    /// Waits for a request, the whole of which comes at once.
    private func note(_ client: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = recv(client, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        let method = String(decoding: buffer[..<count], as: UTF8.self).prefix { $0 != " " }
        state.withLock { $0.requests.append(String(method)) }
        return true
    }
}

/// Connections that the server ends at the moment at which they are used again.
@Suite(.timeLimit(.minutes(10))) struct V2ConnectionTests {
    private func store(_ server: ForgetfulServer) throws -> V2SubnetStore {
        V2SubnetStore(
            configuration: try EtcdConfiguration(
                endpoints: ["http://127.0.0.1:\(server.port)"], prefix: "/net", requestTimeout: .seconds(60)),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func aReadGoesOutOnceMore() async throws {
        let server = try ForgetfulServer()
        try await store(server).withOwnSession(endpoint: 0) { session in
            for _ in 0..<3 {
                let index = try await session.readConfig().index
                #expect(index == 7)
            }
        }
        #expect(server.state.withLock { $0.connections } == 3)
        #expect(server.state.withLock { $0.requests } == ["GET", "GET", "GET", "GET", "GET"])
    }

    @Test func aWriteDoesNot() async throws {
        let server = try ForgetfulServer()
        try await store(server).withOwnSession(endpoint: 0) { session in
            _ = try await session.readConfig()
            do throws(StoreError) {
                _ = try await session.create(name: "10.5.1.0-24", value: [])
                Issue.record("the server never answered")
            } catch {
                #expect(error.kind == .unavailable)
            }
        }
        #expect(server.state.withLock { $0.requests } == ["GET", "PUT"])
    }
}
