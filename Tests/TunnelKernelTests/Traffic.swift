import Glibc
import IPNetwork
import LinuxSystem
import Testing

/// Sockets in namespaces, and what is sent through them. Waits are bounded; a wait that runs out is an error.
struct Peer: ~Copyable {
    let descriptor: OwnedDescriptor
    var raw: CInt { descriptor.rawValue }

    init(_ namespace: String, _ address: String, port: UInt16, stream: Bool) throws {
        let parsed = try #require(IPAddress(address))
        let raw = try NetworkNamespace(named: namespace).run {
            let kind = CInt((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue) | CInt(SOCK_NONBLOCK.rawValue)
            let raw = try systemCall("socket") { socket(parsed.isIPv6 ? AF_INET6 : AF_INET, kind, 0) }
            try withAddress(parsed, port) { pointer, length in
                try systemCall("bind") { Glibc.bind(raw, pointer, length) }
            }
            return raw
        }
        descriptor = OwnedDescriptor(owning: raw)
    }

    init(owning raw: CInt) { descriptor = OwnedDescriptor(owning: raw) }

    /// Waits at most ten seconds.
    func wait(_ events: Int32) throws {
        var entry = pollfd(fd: raw, events: Int16(events), revents: 0)
        let ready = try systemCall("poll") { poll(&entry, 1, 10_000) }
        guard ready == 1 else {
            throw SystemCallError(code: ETIMEDOUT, call: "poll")
        }
    }

    func connect(_ address: String, port: UInt16) throws {
        try withAddress(try #require(IPAddress(address)), port) { pointer, length in
            if Glibc.connect(raw, pointer, length) == 0 { return }
            guard errno == EINPROGRESS else { throw SystemCallError(code: errno, call: "connect") }
        }
        try wait(POLLOUT)
        try check()
    }

    /// Throws the socket's pending error.
    func check() throws {
        var code: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(raw, SOL_SOCKET, SO_ERROR, &code, &length)
        guard code == 0 else { throw SystemCallError(code: code, call: "socket") }
    }

    func send(_ bytes: [UInt8]) throws {
        try systemCall("send") { Glibc.send(raw, bytes, bytes.count, 0) }
    }

    func receive(_ limit: Int = 70000) throws -> [UInt8] {
        try wait(POLLIN)
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = try systemCall("recv") { recv(raw, &bytes, limit, 0) }
        return Array(bytes[..<count])
    }
}

@discardableResult
func withAddress<Value>(
    _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Value
) throws -> Value {
    var storage = sockaddr_storage()
    let length: Int
    switch address {
    case .v4(let v4):
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = port.bigEndian
        value.sin_addr.s_addr = v4.rawValue.bigEndian
        length = MemoryLayout<sockaddr_in>.size
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: sockaddr_in.self) }
    case .v6(let v6):
        var value = sockaddr_in6()
        value.sin6_family = sa_family_t(AF_INET6)
        value.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &value.sin6_addr) { $0.copyBytes(from: v6.bytes) }
        length = MemoryLayout<sockaddr_in6>.size
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: sockaddr_in6.self) }
    }
    return try withUnsafeBytes(of: &storage) { bytes in
        try bytes.withMemoryRebound(to: sockaddr.self) { try body(try #require($0.baseAddress), socklen_t(length)) }
    }
}

/// A TCP connection, both of whose ends this process holds.
struct Stream: ~Copyable {
    let sender: Peer
    let receiver: Peer
    private var sent = 0
    private var received = 0

    init(from: String, _ source: String, to: String, _ destination: String) throws {
        let listener = try Peer(to, destination, port: 7000, stream: true)
        try systemCall("listen") { listen(listener.raw, 1) }
        let sender = try Peer(from, source, port: 0, stream: true)
        try sender.connect(destination, port: 7000)
        try listener.wait(POLLIN)
        let raw = try systemCall("accept") { accept(listener.raw, nil, nil) }
        _ = fcntl(raw, F_SETFL, O_NONBLOCK)
        self.sender = sender
        receiver = Peer(owning: raw)
    }

    private static func byte(_ position: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: position ^ position >> 7 ^ position >> 15)
    }

    /// Sends `count` bytes, and checks that each arrives as it was.
    mutating func transfer(_ count: Int) throws {
        let end = sent + count
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        var wrong = 0
        while received < end {
            var didSomething = false
            if sent < end {
                let length = min(chunk.count, end - sent)
                for index in 0..<length { chunk[index] = Self.byte(sent + index) }
                let written = Glibc.send(sender.raw, chunk, length, Int32(MSG_NOSIGNAL))
                if written > 0 {
                    sent += written
                    didSomething = true
                } else if errno != EAGAIN {
                    throw SystemCallError(code: errno, call: "send")
                }
            }
            let count = recv(receiver.raw, &chunk, chunk.count, 0)
            if count > 0 {
                for index in 0..<count where chunk[index] != Self.byte(received + index) { wrong += 1 }
                received += count
                didSomething = true
            } else if count == 0 || errno != EAGAIN {
                throw SystemCallError(code: count == 0 ? ECONNRESET : errno, call: "recv")
            }
            if !didSomething { try receiver.wait(POLLIN) }
        }
        #expect(wrong == 0)
    }
}
