import CLinux
import Glibc

/// Where a ``SendPath`` puts what it has made.
protocol DatagramSink {
    /// Sends every message; afterwards the memory they point to is used again.
    mutating func send(_ batch: inout SendBatch, _ counters: CounterBlock)
    /// Tells the source of a packet why it was not passed on. The packet is as the TUN device gave it.
    mutating func reject(_ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock)
}

/// Packets from the TUN device to datagrams: next hop, TTL, checksums and segmentation.
struct SendPath<Sink: DatagramSink> {
    /// IPv6 with extension headers and a full TCP header fit, and IPv4 with all its options.
    static var headerLimit: Int { 256 }
    private static var headerSlots: Int { SendBatch.pieceLimit / 2 }

    var sink: Sink
    var batch: SendBatch
    let counters: CounterBlock
    private let headers: UnsafeMutableRawPointer
    private var headerCount = 0

    init(sink: Sink, canSegment: Bool, counters: CounterBlock) {
        self.sink = sink
        batch = SendBatch(canSegment: canSegment)
        self.counters = counters
        headers = .allocate(byteCount: Self.headerLimit * Self.headerSlots, alignment: 64)
        headers.initializeMemory(as: UInt8.self, repeating: 0, count: Self.headerLimit * Self.headerSlots)
    }

    func deallocate() {
        batch.deallocate()
        headers.deallocate()
    }

    /// Sends what is in the batch.
    mutating func flush() {
        if batch.messageCount > 0 { sink.send(&batch, counters) }
        batch.clear()
        headerCount = 0
    }

    /// Adds one packet to the batch, or drops and counts it. `packet` is changed, and must stay until ``flush()``.
    @inline(__always) mutating func process(_ packet: PacketBytes, _ offload: virtio_net_hdr, _ table: NextHopView) {
        do throws(DropReason) {
            try pass(packet, offload, table)
        } catch {
            counters.drop(error)
        }
    }

    @inline(__always) private mutating func pass(
        _ bytes: PacketBytes, _ offload: virtio_net_hdr, _ table: NextHopView
    ) throws(DropReason) {
        let header = try InnerHeader(bytes)
        let number = table.destination(bytes, isIPv6: header.isIPv6)
        guard Int(number) < table.endpointCount else {
            if bytes.isMulticast(isIPv6: header.isIPv6) { throw .multicast }
            sink.reject(bytes, header, .noNextHop, counters)
            throw .noNextHop
        }
        guard bytes.hopLimit(isIPv6: header.isIPv6) > 1 else {
            sink.reject(bytes, header, .hopLimit, counters)
            throw .hopLimit
        }
        bytes.decrementHopLimit(isIPv6: header.isIPv6)
        let endpoint = table.endpoints + Int(number)
        if Int32(offload.gso_type) == VIRTIO_NET_HDR_GSO_NONE {
            let packet = bytes.slice(0, header.totalLength)
            if offload.flags & UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 {
                try finishChecksum(packet, header, offload)
            }
            guard packet.count <= SendBatch.payloadLimit else { throw .badOffload }
            append(packet, nil, number, endpoint)
            counters.add(.sentPackets, 1)
            counters.add(.sentBytes, packet.count)
        } else {
            try split(bytes, header, offload, number, endpoint)
        }
    }

    @inline(__always) private mutating func append(
        _ head: PacketBytes, _ tail: PacketBytes?, _ number: UInt32,
        _ endpoint: UnsafeMutablePointer<NextHopTable.Endpoint>
    ) {
        if !batch.hasRoom { flush() }
        batch.append(head, tail, to: number, endpoint)
    }

    /// Completes a checksum of which the kernel has left only the pseudo header's sum in the field.
    @inline(__always) private func finishChecksum(
        _ packet: PacketBytes, _ header: InnerHeader, _ offload: virtio_net_hdr
    ) throws(DropReason) {
        let start = Int(offload.csum_start)
        let field = start &+ Int(offload.csum_offset)
        guard start >= header.length, field &+ 2 <= packet.count else { throw .badOffload }
        let value = ~InternetChecksum.fold(InternetChecksum.sum(packet.slice(from: start)))
        // Zero means "no checksum" in UDP (RFC 768); the other zero is as good in every protocol.
        packet.setNative16(field, value == 0 ? 0xffff : value)
    }

    /// Cuts a super-packet into the packets that its sender would have sent without the offload.
    private mutating func split(
        _ bytes: PacketBytes, _ header: InnerHeader, _ offload: virtio_net_hdr, _ number: UInt32,
        _ endpoint: UnsafeMutablePointer<NextHopTable.Endpoint>
    ) throws(DropReason) {
        let plan = try SegmentationPlan(bytes, header, offload)
        counters.add(.sentPackets, plan.count)
        counters.add(.sentBytes, plan.payload.count &+ plan.count &* plan.headerLength)
        for index in 0..<plan.count {
            if !batch.hasRoom || headerCount == Self.headerSlots { flush() }
            let copy = PacketBytes(start: headers + Self.headerLimit &* headerCount, count: plan.headerLength)
            headerCount = headerCount &+ 1
            let payload = plan.write(index, to: copy)
            batch.append(copy, payload, to: number, endpoint)
        }
    }
}

extension PacketBytes {
    /// Whether the destination is a group: multicast of either family, or IPv4's limited broadcast.
    @inline(__always) func isMulticast(isIPv6: Bool) -> Bool {
        isIPv6 ? byte(24) == 0xff : byte(16) &>> 4 == 0xe || native32(16) == UInt32.max
    }
}
