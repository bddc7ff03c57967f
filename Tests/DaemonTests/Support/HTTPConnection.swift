import Foundation
import LinuxSystem

/// The least of an HTTP/1.1 client, over a socket that belongs to a namespace.
final class HTTPConnection {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    init(namespace: NetworkNamespace, address: String, port: UInt16) throws {
        descriptor = try namespace.run { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &target.sin_addr)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let code = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failure("cannot connect to \(address):\(port): error \(errno)") }
    }

    deinit { close(descriptor) }

    func get(_ path: String) throws -> (status: Int, body: Data) {
        try send(Data("GET \(path) HTTP/1.1\r\nHost: test\r\n\r\n".utf8))
        return try answer()
    }

    func post(_ path: String, _ body: Data) throws {
        try send(Data("POST \(path) HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body)
    }

    private func send(_ data: Data) throws {
        var rest = Array(data)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Failure("cannot send a request: error \(errno)") }
            rest = rest.dropFirst(count)
        }
    }

    /// The next answer, with a length of its own or in chunks.
    func answer() throws -> (status: Int, body: Data) {
        let head = try line(until: "\r\n\r\n").split(separator: "\r\n")
        let status = head.first.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
        let fields = head.dropFirst().map { $0.lowercased() }
        if let length = fields.first(where: { $0.hasPrefix("content-length:") }) {
            return (status, Data(try take(Int(length.dropFirst(15).filter(\.isNumber)) ?? 0)))
        }
        var body = Data()
        while let size = Int(try line(until: "\r\n"), radix: 16) {
            body += try take(size)
            _ = try take(2)
            if size == 0 { break }
        }
        return (status, body)
    }

    private func line(until end: String) throws -> String {
        let end = Array(end.utf8)
        var start = 0
        while true {
            if buffer.count >= end.count, start <= buffer.count - end.count {
                for place in start...(buffer.count - end.count)
                where buffer[place..<(place + end.count)].elementsEqual(end) {
                    let text = String(decoding: buffer[..<place], as: UTF8.self)
                    buffer.removeFirst(place + end.count)
                    return text
                }
                start = buffer.count - end.count + 1
            }
            try fill()
        }
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func fill() throws {
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &piece, piece.count, 0)
        guard count > 0 else { throw Failure("the connection ended: \(count == 0 ? "closed" : "error \(errno)")") }
        buffer += piece[..<count]
    }
}
