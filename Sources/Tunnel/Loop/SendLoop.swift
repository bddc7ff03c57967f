import CLinux
import Glibc
import LinuxSystem

/// The thread from one queue of the TUN device to the network.
///
/// Takes what the device holds, up to a full buffer, sends it in one go, and waits only when nothing is left: an idle
/// tunnel costs nothing. No packet waits for another one, unless small ones come so thick that the waking and sending for
/// each few would cost most of the time (``Pause``).
struct SendLoop {
    /// Two of the largest packets, or a thousand small ones.
    private static let bufferSize = 192 << 10
    private static let headerSize = MemoryLayout<virtio_net_hdr>.size
    /// The largest IP packet.
    private static let packetLimit = 65535
    /// Packets start where a load of their addresses crosses no cache line.
    private static let alignment = 64

    let core: TunnelCore
    let queue: TunnelQueue
    let slot: Int

    func run() -> TunnelEnd {
        let counters = core.counters[slot]
        var path = SendPath(
            sink: SocketSink(
                v4: queue.socketV4, v6: queue.socketV6,
                errors: ErrorSender(v4: core.errorsV4, v6: core.errorsV6)),
            canSegment: queue.offloads.contains(.datagramSegmentation), counters: counters)
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.bufferSize, alignment: 4096)
        defer {
            path.sink.errors.deallocate()
            path.deallocate()
            buffer.deallocate()
        }
        let device = queue.deviceDescriptor
        let header = queue.offloads.contains(.virtioHeader) ? Self.headerSize : 0
        let pause = Pause()
        while !core.isStopping {
            let table = core.publisher.acquire(slot)
            var taken = (packets: 0, bytes: 0)
            let code = fill(&path, table, device, buffer, header, &taken)
            path.flush()
            core.publisher.release(slot)
            switch code {
            case 0: continue
            case EAGAIN: break
            case EBADFD, EIO, ENODEV: return .deviceLost
            default: return .failed(SystemCallError(code: code, call: "read", subject: "TUN device"))
            }
            if pause.pays(packets: taken.packets, bytes: taken.bytes) {
                pause.take()
            } else {
                core.wait(for: device)
            }
        }
        return .stopped
    }

    /// Processes packets until the buffer is full, which is 0, or the device gives no more, which is its error number.
    @inline(__always) private func fill(
        _ path: inout SendPath<SocketSink>, _ table: NextHopView, _ device: CInt, _ buffer: UnsafeMutableRawPointer,
        _ header: Int, _ taken: inout (packets: Int, bytes: Int)
    ) -> CInt {
        // The header goes in front of an aligned packet.
        var offset = Self.alignment
        while offset &+ Self.packetLimit <= Self.bufferSize {
            let start = buffer + (offset &- header)
            let count = read(device, start, Self.packetLimit &+ header)
            if count < 0 {
                if errno == EINTR { continue }
                return errno
            }
            guard count >= header else {
                path.counters.drop(.truncated)
                continue
            }
            let packet = PacketBytes(start: buffer + offset, count: count &- header)
            let offload = header > 0 ? start.loadUnaligned(as: virtio_net_hdr.self) : virtio_net_hdr()
            path.process(packet, offload, table)
            taken.packets = taken.packets &+ 1
            taken.bytes = taken.bytes &+ packet.count
            offset = (offset &+ packet.count &+ Self.headerSize &+ Self.alignment &- 1) & ~(Self.alignment &- 1)
        }
        return 0
    }
}
