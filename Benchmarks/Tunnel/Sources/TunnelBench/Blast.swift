import CLinux
import Glibc
import IPNetwork
import LinuxSystem

/// Small UDP datagrams, 64 to a system call at either end, so that neither end is what is measured.
enum Blast {
    private static let count = 64
    private static let port: UInt16 = 9000

    /// How the datagrams are sent.
    enum Kind: String {
        /// One by one, all of 36 bytes.
        case equal
        /// One by one, of 36 to 52 bytes, so that next to none can travel together.
        case varied
        /// 32 of 36 bytes at a time, for the kernel to cut (UDP_SEGMENT), as QUIC is sent: the sender costs little.
        case segmented
    }

    static func send(to text: String, seconds: Int, _ kind: Kind) throws -> Int {
        let socket = try makeSocket()
        guard let address = IPv4Address(text) else { return 0 }
        try withAddress(address) { pointer, length in
            try systemCall("connect", text) { connect(socket.rawValue, pointer, length) }
        }
        let messages = Messages {
            switch kind {
            case .equal: 36
            case .varied: 36 + $0 * 7 % 5 * 4
            case .segmented: 36 * 32
            }
        }
        defer { messages.deallocate() }
        let end = now() + Double(seconds)
        var sent = 0
        let each = kind == .segmented ? 32 : 1
        if kind == .segmented {
            var size: CInt = 36
            try systemCall("setsockopt", "UDP_SEGMENT") {
                setsockopt(socket.rawValue, SOL_UDP, UDP_SEGMENT, &size, socklen_t(MemoryLayout<CInt>.size))
            }
        }
        while now() < end {
            sent += max(0, Int(sendmmsg(socket.rawValue, messages.headers, UInt32(count), 0))) * each
        }
        return sent / seconds
    }

    static func drain() throws -> Int {
        let socket = try makeSocket()
        try withAddress(.any) { pointer, length in
            try systemCall("bind") { bind(socket.rawValue, pointer, length) }
        }
        let messages = Messages { _ in 2048 }
        defer { messages.deallocate() }
        var received = 0
        var began = 0.0
        var last = 0.0
        var wait = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, began == 0 ? 20_000 : 1000) > 0 {
            let taken = recvmmsg(socket.rawValue, messages.headers, UInt32(count), CInt(MSG_DONTWAIT), nil)
            last = now()
            if began == 0 { began = last }
            received += max(0, Int(taken))
        }
        return last > began ? Int(Double(received) / (last - began)) : 0
    }

    private struct Messages {
        let headers = UnsafeMutablePointer<mmsghdr>.allocate(capacity: count)
        private let pieces = UnsafeMutablePointer<iovec>.allocate(capacity: count)
        private let bytes = UnsafeMutableRawPointer.allocate(byteCount: count * 2048, alignment: 64)

        init(size: (Int) -> Int) {
            bytes.initializeMemory(as: UInt8.self, repeating: 0, count: count * 2048)
            for index in 0..<count {
                (pieces + index).initialize(to: iovec(iov_base: bytes + index * 2048, iov_len: size(index)))
                var header = mmsghdr()
                header.msg_hdr.msg_iov = pieces + index
                header.msg_hdr.msg_iovlen = 1
                (headers + index).initialize(to: header)
            }
        }

        func deallocate() {
            headers.deallocate()
            pieces.deallocate()
            bytes.deallocate()
        }
    }

    private static func makeSocket() throws -> OwnedDescriptor {
        let kind = CInt(SOCK_DGRAM.rawValue)
        let made = OwnedDescriptor(owning: try systemCall("socket") { socket(AF_INET, kind, 0) })
        var size: CInt = 8 << 20
        setsockopt(made.rawValue, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<CInt>.size))
        return made
    }

    private static func withAddress(
        _ address: IPv4Address, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Void
    ) throws {
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = port.bigEndian
        value.sin_addr.s_addr = address.rawValue.bigEndian
        try withUnsafePointer(to: &value) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
