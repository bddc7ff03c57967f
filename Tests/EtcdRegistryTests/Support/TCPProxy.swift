import Foundation
import Synchronization

/// Stands between a client and an etcd, and spoils what passes.
final class TCPProxy: Sendable {
    enum Mode: Equatable, Sendable {
        case pass
        /// Connections end as soon as they are made.
        case hangUp
        /// Connections stay, nothing passes: a member that is stopped, a firewall that drops.
        case stall
        /// Each piece of an answer comes this much later.
        case slow(milliseconds: UInt32)
        /// A connection ends in the middle of what it would answer.
        case truncate(after: Int)
        /// Every hundredth byte of an answer is another.
        case garble
    }

    private struct State {
        var mode = Mode.pass
        var connections: Set<Int32> = []
        var isClosed = false
    }

    let port: Int
    private let target: Int
    private let listener: Int32
    private let state = Mutex(State())

    var url: String { "http://127.0.0.1:\(port)" }

    init(to target: Int) throws {
        self.target = target
        (listener, port) = try listeningSocket()
        Thread.detachNewThread { [weak self, listener] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    if errno == EINTR { continue }
                    return
                }
                guard let self, self.take(client) else {
                    shutdown(client, Int32(SHUT_RDWR))
                    close(client)
                    continue
                }
            }
        }
    }

    deinit {
        setMode(.hangUp)
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Ends the connections there are, so that the next ones meet the new mode; a stall is for those there are.
    func setMode(_ mode: Mode) {
        state.withLock { state in
            state.mode = mode
            guard mode != .stall else { return }
            for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    private func take(_ client: Int32) -> Bool {
        guard state.withLock({ $0.mode }) != .hangUp, let server = connectedSocket(target) else { return false }
        state.withLock { $0.connections.formUnion([client, server]) }
        // Weak, so that the proxy ends with its test.
        Thread.detachNewThread { [weak self] in
            Self.pump(client, server) { self?.state.withLock { $0.mode } ?? .hangUp }
            self?.state.withLock { $0.connections.subtract([client, server]) }
            // A process that another test has started meanwhile may hold the descriptors too.
            for connection in [client, server] {
                shutdown(connection, Int32(SHUT_RDWR))
                close(connection)
            }
        }
        return true
    }

    private static func pump(_ client: Int32, _ server: Int32, _ mode: () -> Mode) {
        var answered = 0
        while true {
            let current = mode()
            if current == .stall {
                usleep(20_000)
                continue
            }
            var waits = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waits, 2, 50) >= 0 || errno == EINTR else { return }
            guard mode() != .stall else { continue }
            if waits[0].revents != 0, copy(client, server, { $0 }) == nil { return }
            guard waits[1].revents != 0 else { continue }
            let count = copy(server, client) { piece in
                switch current {
                case .slow(let milliseconds): usleep(milliseconds * 1000)
                case .truncate(let limit): return Array(piece.prefix(max(limit - answered, 0)))
                case .garble: return piece.enumerated().map { ($0 + answered) % 100 == 99 ? $1 ^ 0x15 : $1 }
                case .pass, .stall, .hangUp: break
                }
                return piece
            }
            guard let count else { return }
            answered += count
            if case .truncate(let limit) = current, answered >= limit { return }
        }
    }

    /// - Returns: How many bytes came; `nil` when the connection is at its end.
    private static func copy(_ from: Int32, _ to: Int32, _ change: ([UInt8]) -> [UInt8]) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 16384)
        let count = recv(from, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        var rest = change(Array(buffer[..<count]))[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return nil }
            rest = rest.dropFirst(sent)
        }
        return count
    }
}
