import CLinux
import Dispatch
import Glibc
import IPNetwork
import LinuxSystem
import Synchronization

/// Pings along many paths at once, from inside the sources' network namespaces.
///
/// One thread sends and receives for all paths; no `ping` program and nothing installed in a container is needed.
public enum EchoProbe {
    /// From whom to whom.
    public struct Path: Hashable, Sendable {
        /// The namespace that the requests leave from.
        public let source: NetworkNamespace
        /// The address that should reply.
        public let destination: IPv4Address

        /// All fields as given.
        public init(source: NetworkNamespace, destination: IPv4Address) {
            self.source = source
            self.destination = destination
        }
    }

    /// What became of the echo requests on one path.
    public struct Tally: Hashable, Sendable {
        /// Requests.
        public var sent = 0
        /// Replies, each request counted once.
        public var received = 0
        /// The longest run of requests in a row without a reply.
        public var longestGap = 0
        /// Requests without a reply.
        public var lost: Int { sent - received }
        /// 0 to 1; 1 when nothing was sent.
        public var lossRatio: Double { sent == 0 ? 1 : Double(lost) / Double(sent) }
    }

    /// Sends `count` echo requests on every path, `interval` apart, and waits up to `patience` for the last replies.
    ///
    /// - Returns: a tally per path, in the order of `paths`.
    /// - Throws: ``SystemCallError`` when a namespace cannot be entered or raw sockets are not allowed.
    public static func measure(
        _ paths: [Path], count: Int, interval: Duration = .milliseconds(100), patience: Duration = .seconds(1)
    ) async throws -> [Tally] {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result {
                        var session = try EchoSession(paths)
                        session.run(interval: interval, patience: patience) { $0 < count }
                        return session.tallies
                    })
            }
        }
    }

    /// Pings along `path` every `interval` for as long as `body` runs.
    ///
    /// - Returns: what `body` returned, and the tally. At most 65,535 requests are sent.
    public static func measure<Value: Sendable>(
        _ path: Path, interval: Duration, isolation: isolated (any Actor)? = #isolation,
        while body: () async throws -> Value
    ) async throws -> (Value, Tally) {
        let isDone = Flag()
        async let tallies = withCheckedThrowingContinuation { (continuation: CheckedContinuation<[Tally], any Error>) in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result {
                        var session = try EchoSession([path])
                        session.run(interval: interval, patience: .milliseconds(500)) { _ in !isDone.isSet }
                        return session.tallies
                    })
            }
        }
        let outcome: Result<Value, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        isDone.set()
        let tally = try await tallies.first ?? Tally()
        return (try outcome.get(), tally)
    }

    /// Set once, read from another thread.
    private final class Flag: Sendable {
        private let state = Atomic(false)
        var isSet: Bool { state.load(ordering: .acquiring) }
        func set() { state.store(true, ordering: .releasing) }
    }
}

/// The sockets and counters of one run of pings; used by one thread.
private struct EchoSession: ~Copyable {
    private struct Key: Hashable {
        let socket: Int
        let destination: IPv4Address
    }

    private let sockets: [Int32]
    private let paths: [(socket: Int, destination: IPv4Address)]
    private var pathIndex: [Key: Int] = [:]
    /// Per path, whether the request with this sequence number was answered.
    private var replies: [[Bool]]
    private let identifier = UInt16.random(in: 1...UInt16.max)

    init(_ paths: [EchoProbe.Path]) throws {
        var sockets: [Int32] = []
        var socketIndex: [NetworkNamespace: Int] = [:]
        var resolved: [(socket: Int, destination: IPv4Address)] = []
        do {
            for path in paths {
                let index: Int
                if let known = socketIndex[path.source] {
                    index = known
                } else {
                    index = sockets.count
                    socketIndex[path.source] = index
                    sockets.append(try path.source.run { try Self.openSocket() })
                }
                pathIndex[Key(socket: index, destination: path.destination)] = resolved.count
                resolved.append((index, path.destination))
            }
        } catch {
            for socket in sockets { close(socket) }
            throw error
        }
        self.sockets = sockets
        self.paths = resolved
        replies = Array(repeating: [], count: paths.count)
    }

    deinit { for socket in sockets { close(socket) } }

    private static func openSocket() throws -> Int32 {
        let type = CInt(SOCK_RAW.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        return try systemCall("socket", "raw ICMP") { socket(AF_INET, type, CInt(IPPROTO_ICMP)) }
    }

    var tallies: [EchoProbe.Tally] {
        replies.map { answered in
            var tally = EchoProbe.Tally()
            var gap = 0
            for isAnswered in answered {
                tally.sent += 1
                tally.received += isAnswered ? 1 : 0
                gap = isAnswered ? 0 : gap + 1
                tally.longestGap = max(tally.longestGap, gap)
            }
            return tally
        }
    }

    /// Sends round after round while `goOn(rounds sent)` says so, then waits for what is missing.
    mutating func run(interval: Duration, patience: Duration, while goOn: (Int) -> Bool) {
        let clock = ContinuousClock()
        var next = clock.now
        var rounds = 0
        while rounds <= UInt16.max, goOn(rounds) {
            sendRound(rounds)
            rounds += 1
            next += interval
            receive(until: next)
        }
        receive(until: clock.now + patience, stopWhenComplete: true)
    }

    private mutating func sendRound(_ round: Int) {
        let packet = echoRequest(sequence: UInt16(truncatingIfNeeded: round))
        for (index, path) in paths.enumerated() {
            replies[index].append(false)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = path.destination.rawValue.bigEndian
            // A send that fails (no route, device gone) is a lost packet, as it is for the user.
            _ = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(sockets[path.socket], packet, packet.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
    }

    private mutating func receive(until deadline: ContinuousClock.Instant, stopWhenComplete: Bool = false) {
        let clock = ContinuousClock()
        var polled = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: 1500)
        while true {
            if stopWhenComplete, replies.allSatisfy({ $0.allSatisfy { $0 } }) { return }
            let left = clock.now.duration(to: deadline)
            if left <= .zero { return }
            let milliseconds = left / .milliseconds(1)
            let ready = poll(&polled, nfds_t(polled.count), CInt(milliseconds.rounded(.up)))
            if ready <= 0 { continue }
            for index in polled.indices where polled[index].revents != 0 {
                while true {
                    let count = recv(polled[index].fd, &buffer, buffer.count, 0)
                    if count <= 0 { break }
                    note(buffer[..<count], socket: index)
                }
            }
        }
    }

    /// Marks the request that `packet`, an IPv4 packet, answers (RFC 792).
    private mutating func note(_ packet: ArraySlice<UInt8>, socket: Int) {
        guard packet.count >= 28 else { return }
        let header = Int(packet[0] & 0x0f) * 4
        guard packet.count >= header + 8, packet[header] == 0 else { return }
        func word(_ offset: Int) -> UInt16 { UInt16(packet[offset]) << 8 | UInt16(packet[offset + 1]) }
        guard
            word(header + 4) == identifier, let source = IPv4Address(bytes: packet[12..<16]),
            let path = pathIndex[Key(socket: socket, destination: source)]
        else { return }
        let sequence = Int(word(header + 6))
        if sequence < replies[path].count { replies[path][sequence] = true }
    }

    private func echoRequest(sequence: UInt16) -> [UInt8] {
        var packet: [UInt8] = [8, 0, 0, 0]
        for word in [identifier, sequence] { packet += [UInt8(word >> 8), UInt8(word & 0xff)] }
        packet += [UInt8](repeating: 0x77, count: 56)
        var sum: UInt32 = 0
        for index in stride(from: 0, to: packet.count, by: 2) {
            sum += UInt32(packet[index]) << 8 | UInt32(packet[index + 1])
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        let checksum = ~UInt16(sum)
        packet[2] = UInt8(checksum >> 8)
        packet[3] = UInt8(checksum & 0xff)
        return packet
    }
}
