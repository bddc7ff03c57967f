import CLinux
import Glibc

/// Sends a loop's batches on the tunnel's sockets.
struct SocketSink: DatagramSink {
    /// The socket of each family, -1 where there is none.
    let v4: CInt
    let v6: CInt
    var errors: ErrorSender

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) {
        errors.send(about: packet, header, reason, counters)
    }

    mutating func send(_ batch: inout SendBatch, _ counters: CounterBlock) {
        let messages = batch.messages
        let count = batch.messageCount
        var first = 0
        while first < count {
            let isIPv6 = Self.isIPv6(messages + first)
            var end = first &+ 1
            while end < count, Self.isIPv6(messages + end) == isIPv6 { end = end &+ 1 }
            let socket = isIPv6 ? v6 : v4
            let sent = sendmmsg(socket, messages + first, UInt32(truncatingIfNeeded: end &- first), 0)
            if sent > 0 {
                counters.add(.sentMessages, Int(sent))
                first = first &+ Int(sent)
                continue
            }
            let code = errno
            if code == EINTR { continue }
            recover(messages + first, socket, code, &batch, counters)
            first = first &+ 1
        }
    }

    @inline(__always) private static func isIPv6(_ message: UnsafeMutablePointer<mmsghdr>) -> Bool {
        // The length tells the families apart without a look at the address.
        message.pointee.msg_hdr.msg_namelen == socklen_t(MemoryLayout<sockaddr_in6>.size)
    }

    /// The first message of a send was refused: sends its datagrams one by one if the kernel might not like them together.
    private func recover(
        _ message: UnsafeMutablePointer<mmsghdr>, _ socket: CInt, _ code: CInt, _ batch: inout SendBatch,
        _ counters: CounterBlock
    ) {
        guard let control = message.pointee.msg_hdr.msg_control else { return counters.drop(.sendFailed) }
        let size = Int(control.load(fromByteOffset: MemoryLayout<cmsghdr>.size, as: UInt16.self))
        // EIO: the interface cannot complete checksums. EINVAL and EMSGSIZE: a datagram is over the path's MTU, and has to
        // go as fragments, which segmentation does not make.
        let canGoApart = code == EIO || code == EINVAL || code == EMSGSIZE || code == EOPNOTSUPP
        if code == EIO { batch.canSegment = false }
        guard let pieces = message.pointee.msg_hdr.msg_iov else { return }
        var single = message.pointee.msg_hdr
        single.msg_control = nil
        single.msg_controllen = 0
        var first = 0
        let count = Int(message.pointee.msg_hdr.msg_iovlen)
        while first < count {
            var end = first
            var length = 0
            while end < count, length < size {
                length += pieces[end].iov_len
                end += 1
            }
            single.msg_iov = pieces + first
            single.msg_iovlen = end - first
            if canGoApart, Self.send(socket, &single) {
                counters.add(.sentMessages, 1)
            } else {
                counters.drop(.sendFailed)
            }
            first = end
        }
    }

    private static func send(_ socket: CInt, _ message: inout msghdr) -> Bool {
        while true {
            if sendmsg(socket, &message, 0) >= 0 { return true }
            if errno != EINTR { return false }
        }
    }
}
