import CLinux
import Glibc

/// Memory that datagrams are received into, one after another.
///
/// Unchecked: the pointer is private, its memory has this value as its only owner, and the value cannot be copied.
struct ReceiveBuffer: ~Copyable, @unchecked Sendable {
    private var storage: UnsafeMutableRawBufferPointer

    /// Pages that no datagram reaches are never touched, so a generous capacity costs address space only.
    init(capacity: Int) { storage = .allocate(byteCount: capacity, alignment: 8) }

    deinit { storage.deallocate() }

    /// What became of an attempt to receive.
    enum Outcome {
        /// A datagram of so many bytes from the kernel.
        case datagram(Int)
        /// It had more bytes than there was room for, and is lost; there is room for the next of its size.
        case tooLarge
        /// A call failed with this error number; ENOBUFS when the socket's own buffer overran.
        case failed(CInt)
    }

    /// Receives the next datagram from the kernel; those that other processes sent are thrown away.
    mutating func receive(from descriptor: CInt, flags: CInt) -> Outcome {
        while true {
            var sender = sockaddr_nl()
            var senderSize = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let count = withUnsafeMutablePointer(to: &sender) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    recvfrom(
                        descriptor, storage.baseAddress, storage.count, flags | CInt(MSG_TRUNC), address,
                        &senderSize)
                }
            }
            guard count >= 0 else {
                let code = errno
                if code == EINTR { continue }
                return .failed(code)
            }
            guard sender.nl_pid == 0 else { continue }
            guard count <= storage.count else {
                grow(to: count)
                return .tooLarge
            }
            return .datagram(count)
        }
    }

    /// The first `count` bytes, for as long as `body` runs.
    func withSpan<Result, Failure: Error>(
        _ count: Int, _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let bytes = UnsafeRawBufferPointer(rebasing: storage[..<min(count, storage.count)])
        return try body(bytes.bytes)
    }

    private mutating func grow(to size: Int) {
        storage.deallocate()
        storage = .allocate(byteCount: size, alignment: 8)
    }
}
