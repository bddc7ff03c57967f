import CLinux
import Glibc
import LinuxSystem

/// The thread from one socket to one queue of the TUN device.
struct ReceiveLoop {
    /// Messages taken at a time.
    private static let messageCount = 32
    private static let messageSize = 65536
    private static let controlSize = 32
    private static let nameSize = MemoryLayout<sockaddr_in6>.size

    let core: TunnelCore
    let queue: TunnelQueue
    let socket: CInt
    let slot: Int

    func run() -> TunnelEnd {
        let counters = core.counters[slot]
        var path = ReceivePath(
            sink: TunSink(
                device: queue.deviceDescriptor, errors: ErrorSender(v4: core.errorsV4, v6: core.errorsV6)),
            counters: counters, check: core.sourceCheck,
            hasOffloadHeader: queue.offloads.contains(.virtioHeader),
            mergesUDP: queue.offloads.contains(.udpSegmentation))
        let messages = ReceiveMessages(
            count: Self.messageCount, size: Self.messageSize, controlSize: Self.controlSize, nameSize: Self.nameSize)
        defer {
            path.sink.errors.deallocate()
            path.deallocate()
            messages.deallocate()
        }
        while !core.isStopping {
            messages.reset()
            let count = recvmmsg(
                socket, messages.headers, UInt32(Self.messageCount), CInt(MSG_DONTWAIT), nil)
            if count > 0 {
                counters.add(.receivedMessages, Int(count))
                let table = core.publisher.acquire(slot)
                for index in 0..<Int(count) {
                    path.process(
                        messages.bytes(index), segmentSize: messages.segmentSize(index), from: messages.name(index),
                        table
                    )
                }
                path.flush()
                core.publisher.release(slot)
                if Int(count) == Self.messageCount { continue }
            } else if count < 0, errno == EBADF || errno == ENOTSOCK {
                return .failed(SystemCallError(code: errno, call: "recvmmsg"))
            }
            // Fewer than asked for: most likely there are no more, which poll tells as quickly.
            core.wait(for: socket)
        }
        return .stopped
    }
}

/// The memory that messages are received into, and what recvmmsg has to be told about it.
struct ReceiveMessages {
    let headers: UnsafeMutablePointer<mmsghdr>
    private let pieces: UnsafeMutablePointer<iovec>
    private let payloads: UnsafeMutableRawPointer
    private let extras: UnsafeMutableRawPointer
    private let count: Int
    private let controlSize: Int
    private let nameSize: Int
    private let extraSize: Int

    /// Sizes in bytes: of a payload, of what is said beside it, and of a sender's address.
    init(count: Int, size: Int, controlSize: Int, nameSize: Int) {
        self.count = count
        self.controlSize = controlSize
        self.nameSize = nameSize
        extraSize = controlSize + 32
        headers = .allocate(capacity: count)
        pieces = .allocate(capacity: count)
        // Not initialised, so that memory is taken only once a large message needs it.
        payloads = .allocate(byteCount: count * size, alignment: 4096)
        extras = .allocate(byteCount: count * extraSize, alignment: 16)
        extras.initializeMemory(as: UInt8.self, repeating: 0, count: count * extraSize)
        for index in 0..<count {
            (pieces + index).initialize(to: iovec(iov_base: payloads + index * size, iov_len: size))
            var header = mmsghdr()
            header.msg_hdr.msg_iov = pieces + index
            header.msg_hdr.msg_iovlen = 1
            header.msg_hdr.msg_control = extras + index * extraSize
            header.msg_hdr.msg_name = extras + index * extraSize + controlSize
            (headers + index).initialize(to: header)
        }
    }

    func deallocate() {
        headers.deallocate()
        pieces.deallocate()
        payloads.deallocate()
        extras.deallocate()
    }

    /// Undoes what the last recvmmsg wrote over.
    @inline(__always) func reset() {
        for index in 0..<count {
            headers[index].msg_hdr.msg_namelen = socklen_t(truncatingIfNeeded: nameSize)
            headers[index].msg_hdr.msg_controllen = controlSize
        }
    }

    @inline(__always) func bytes(_ index: Int) -> PacketBytes {
        PacketBytes(
            start: payloads + index &* pieces[index].iov_len,
            count: min(Int(headers[index].msg_len), pieces[index].iov_len))
    }

    @inline(__always) func name(_ index: Int) -> PacketBytes {
        PacketBytes(start: extras + (index &* extraSize &+ controlSize), count: nameSize)
    }

    /// The size of each datagram in the message (UDP_GRO), 0 when there is but one.
    @inline(__always) func segmentSize(_ index: Int) -> Int {
        let control = extras + index &* extraSize
        guard
            headers[index].msg_hdr.msg_controllen >= MemoryLayout<cmsghdr>.size &+ 4,
            control.load(fromByteOffset: 8, as: CInt.self) == SOL_UDP,
            control.load(fromByteOffset: 12, as: CInt.self) == UDP_GRO
        else { return 0 }
        return max(0, Int(control.load(fromByteOffset: MemoryLayout<cmsghdr>.size, as: CInt.self)))
    }
}
