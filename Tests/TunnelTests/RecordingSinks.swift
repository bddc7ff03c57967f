import CLinux
import Glibc
import IPNetwork

@testable import Tunnel

/// Keeps the datagrams that a send path makes.
struct RecordingDatagrams: DatagramSink {
    struct Message {
        var datagrams: [[UInt8]]
        var address: [UInt8]
    }

    var messages: [Message] = []
    var rejections: [DropReason] = []
    var datagrams: [[UInt8]] { messages.flatMap(\.datagrams) }

    mutating func send(_ batch: inout SendBatch, _ counters: CounterBlock) {
        for index in 0..<batch.messageCount {
            let header = batch.messages[index].msg_hdr
            var bytes: [UInt8] = []
            for piece in 0..<header.msg_iovlen {
                bytes += UnsafeRawBufferPointer(
                    start: header.msg_iov[piece].iov_base, count: header.msg_iov[piece].iov_len)
            }
            var size = bytes.count
            if header.msg_controllen > 0, let control = header.msg_control {
                size = Int(control.load(fromByteOffset: MemoryLayout<cmsghdr>.size, as: UInt16.self))
            }
            let datagrams = stride(from: 0, to: bytes.count, by: max(size, 1)).map {
                Array(bytes[$0..<min($0 + size, bytes.count)])
            }
            let address = UnsafeRawBufferPointer(start: header.msg_name, count: Int(header.msg_namelen))
            messages.append(Message(datagrams: datagrams, address: Array(address)))
        }
    }

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) { rejections.append(reason) }
}

/// Keeps what a receive path writes to the device.
struct RecordingPackets: PacketSink {
    struct Write {
        var offload: virtio_net_hdr
        var packet: [UInt8]
        /// The packets that the kernel makes of it.
        var size: Int { Int(offload.gso_size) }
    }

    var hasOffloadHeader = true
    var result = WriteResult.written
    var writes: [Write] = []
    var rejections: [DropReason] = []

    mutating func write(_ pieces: UnsafeMutablePointer<iovec>, _ count: Int) -> WriteResult {
        var bytes: [UInt8] = []
        for index in 0..<count {
            bytes += UnsafeRawBufferPointer(start: pieces[index].iov_base, count: pieces[index].iov_len)
        }
        var offload = virtio_net_hdr()
        if hasOffloadHeader {
            offload = bytes.withUnsafeBytes { $0.loadUnaligned(as: virtio_net_hdr.self) }
            bytes.removeFirst(MemoryLayout<virtio_net_hdr>.size)
        }
        writes.append(Write(offload: offload, packet: bytes))
        return result
    }

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) { rejections.append(reason) }
}

/// A send path with two peers, and what came out of it.
final class SendRig {
    let memory = TestMemory()
    let counters = CounterBlock()
    var path: SendPath<RecordingDatagrams>
    let table: NextHopTable

    init(canSegment: Bool = true, _ hops: [NextHop] = SendRig.hops) {
        table = NextHopTable(hops)
        path = SendPath(sink: RecordingDatagrams(), canSegment: canSegment, counters: counters)
    }

    static let hops: [NextHop] = [
        hop("10.0.2.0/24", "192.0.2.2"), hop("10.0.3.0/24", "192.0.2.3"), hop("fd00:2::/64", "2001:db8::2"),
    ]

    deinit {
        path.deallocate()
        counters.deallocate()
    }

    func process(_ bytes: [UInt8], _ offload: virtio_net_hdr = virtio_net_hdr()) {
        path.process(memory.place(bytes), offload, table.view)
    }

    func finish() -> RecordingDatagrams {
        path.flush()
        return path.sink
    }

    var total: TunnelCounters {
        var total = TunnelCounters()
        counters.addTo(&total)
        return total
    }
}

/// A receive path of the host 10.0.2.0/24, with two peers.
final class ReceiveRig {
    let memory = TestMemory()
    let counters = CounterBlock()
    var path: ReceivePath<RecordingPackets>
    let table: NextHopTable

    init(check: SourceCheck = .peersAndSubnets, hasOffloadHeader: Bool = true, mergesUDP: Bool = true) {
        table = NextHopTable(
            [
                hop("10.0.1.0/24", "192.0.2.1"), hop("10.0.3.0/24", "192.0.2.3"), hop("fd00:1::/64", "192.0.2.1"),
                hop("fd00:4::/64", "2001:db8::4"),
            ], local: ["10.0.2.0/24", "fd00:2::/64"].compactMap { IPPrefix($0) })
        path = ReceivePath(
            sink: RecordingPackets(hasOffloadHeader: hasOffloadHeader), counters: counters, check: check,
            hasOffloadHeader: hasOffloadHeader, mergesUDP: mergesUDP)
    }

    deinit {
        path.deallocate()
        counters.deallocate()
    }

    func process(_ bytes: [UInt8], segmentSize: Int = 0, from sender: String = "192.0.2.1", port: UInt16 = 8285) {
        var address = sockaddr_storage()
        if let parsed = IPAddress(sender) { _ = SocketAddress.write(parsed, port, to: &address) }
        let name = withUnsafeBytes(of: &address) { memory.place(Array($0.prefix(28))) }
        path.process(memory.place(bytes), segmentSize: segmentSize, from: name, table.view)
    }

    func finish() -> [RecordingPackets.Write] {
        path.flush()
        return path.sink.writes
    }

    var total: TunnelCounters {
        var total = TunnelCounters()
        counters.addTo(&total)
        return total
    }
}
