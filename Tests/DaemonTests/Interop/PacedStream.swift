import Foundation
import IPNetwork
import LinuxSystem
import Synchronization

/// One TCP connection between two containers on which both sides send numbered words all the time.
///
/// What is received must be exactly what was sent: every word, once, in order. A connection that is reset, or that ends
/// early, fails the test.
final class PacedStream: Sendable {
    private static let port: UInt16 = 5777
    private let ends: [Int32]
    private let isStopping = Atomic(false)
    private let sent = Mutex([0, 0])
    private let received = Mutex<[Result<Int, Failure>?]>([nil, nil])
    private let progress = Mutex([0, 0])

    /// Connects `client` to `server` and begins to send.
    init(from client: LabContainer, to server: LabContainer) throws {
        let listener = try Self.listen(server)
        defer { close(listener) }
        let first = try Self.connect(client, to: server.address)
        let second = accept(listener, nil, nil)
        guard second >= 0 else { throw Failure("cannot accept: error \(errno)") }
        ends = [first, second]
        for side in 0..<2 {
            // The kernel gives up after this long without an acknowledgement, far beyond any pause that is allowed.
            var limit: UInt32 = 20_000
            setsockopt(ends[side], CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, &limit, 4)
            Thread.detachNewThread { self.write(side) }
            Thread.detachNewThread { self.read(side) }
        }
    }

    deinit { for end in ends { close(end) } }

    /// Words of each direction so far: what the server and what the client has received.
    var words: [Int] { progress.withLock { [$0[1], $0[0]] } }

    /// Waits until both sides have received something that was sent from now on.
    func flows() async throws {
        let before = words
        try await eventually("the TCP stream flows on") {
            let now = self.words
            return zip(now, before).allSatisfy { $0 > $1 + 16 }
        }
    }

    /// Ends both directions and checks that all has arrived.
    ///
    /// - Returns: how many words of 8 bytes went each way.
    @discardableResult
    func finish() async throws -> [Int] {
        isStopping.store(true, ordering: .releasing)
        try await eventually("the TCP stream ends") { self.received.withLock { $0.allSatisfy { $0 != nil } } }
        let counts = try received.withLock { try $0.map { try $0?.get() ?? -1 } }
        let sent = sent.withLock { $0 }
        guard counts[0] == sent[1], counts[1] == sent[0] else {
            throw Failure("TCP lost words: sent \(sent), received \(counts[1]) and \(counts[0])")
        }
        return [counts[1], counts[0]]
    }

    private func write(_ side: Int) {
        var next: UInt64 = 0
        while !isStopping.load(ordering: .acquiring) {
            let words = (0..<512).map { (next + $0).littleEndian }
            var rest = words.withUnsafeBytes { Array($0) }[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { send(ends[side], $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
            next += 512
            sent.withLock { $0[side] = Int(next) }
            usleep(5_000)
        }
        shutdown(ends[side], CInt(SHUT_WR))
    }

    private func read(_ side: Int) {
        var expected: UInt64 = 0
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var rest: [UInt8] = []
        func end(_ result: Result<Int, Failure>) { received.withLock { $0[side] = result } }
        while true {
            let count = recv(ends[side], &buffer, buffer.count, 0)
            guard count >= 0 else { return end(.failure(Failure("TCP broke: error \(errno)"))) }
            guard count > 0 else { return end(.success(Int(expected))) }
            rest += buffer[..<count]
            let whole = rest.count / 8
            for word in 0..<whole {
                let value = rest[(word * 8)..<(word * 8 + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                guard value == expected else {
                    return end(.failure(Failure("TCP delivered word \(value) where \(expected) was due")))
                }
                expected += 1
            }
            rest.removeFirst(whole * 8)
            progress.withLock { $0[side] = Int(expected) }
        }
    }

    private static func listen(_ container: LabContainer) throws -> Int32 {
        try NetworkNamespace(named: container.namespace).run {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            // An earlier stream's end may still wait out its time.
            var isReused: CInt = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReused, socklen_t(MemoryLayout<CInt>.size))
            var address = Self.address(container.address)
            let code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard code == 0, Glibc.listen(descriptor, 1) == 0 else { throw Failure("cannot listen: error \(errno)") }
            return descriptor
        }
    }

    private static func connect(_ container: LabContainer, to target: IPv4Address) throws -> Int32 {
        try NetworkNamespace(named: container.namespace).run {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var address = Self.address(target)
            let code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard code == 0 else { throw Failure("cannot connect to \(target): error \(errno)") }
            return descriptor
        }
    }

    private static func address(_ address: IPv4Address) -> sockaddr_in {
        var result = sockaddr_in()
        result.sin_family = sa_family_t(AF_INET)
        result.sin_port = port.bigEndian
        result.sin_addr.s_addr = address.rawValue.bigEndian
        return result
    }
}
