import Glibc

/// Writes to a queue of the TUN device.
struct TunSink: PacketSink {
    let device: CInt
    var errors: ErrorSender

    @inline(__always) mutating func write(_ pieces: UnsafeMutablePointer<iovec>, _ count: Int) -> WriteResult {
        while true {
            if writev(device, pieces, CInt(truncatingIfNeeded: count)) >= 0 { return .written }
            switch errno {
            case EINTR: continue
            case EINVAL: return .unsupported
            default: return .failed
            }
        }
    }

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) {
        errors.send(about: packet, header, reason, counters)
    }
}
