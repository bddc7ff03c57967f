import CLinux
import Glibc

/// How one super-packet is cut: what the kernel's own segmentation (`tcp_gso_segment`, `udp_gso_segment`) would make of it.
struct SegmentationPlan {
    /// The super-packet's IP and transport headers.
    private let header: PacketBytes
    let payload: PacketBytes
    private let isIPv6: Bool
    private let isTCP: Bool
    /// Where the transport header starts.
    private let transport: Int
    private let segmentSize: Int
    /// IP and transport header of each segment.
    let headerLength: Int
    /// The number of segments, at least 1.
    let count: Int

    init(_ bytes: PacketBytes, _ inner: InnerHeader, _ offload: virtio_net_hdr) throws(DropReason) {
        let isTCP: Bool
        switch Int32(offload.gso_type) & ~VIRTIO_NET_HDR_GSO_ECN {
        case VIRTIO_NET_HDR_GSO_TCPV4 where !inner.isIPv6: isTCP = true
        case VIRTIO_NET_HDR_GSO_TCPV6 where inner.isIPv6: isTCP = true
        case VIRTIO_NET_HDR_GSO_UDP_L4: isTCP = false
        default: throw .badOffload
        }
        var transport = inner.length
        if offload.flags & UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 {
            // Past IPv6's extension headers, which nothing else here knows the length of.
            transport = Int(offload.csum_start)
            guard transport == inner.length || inner.isIPv6 && transport > inner.length else { throw .badOffload }
        }
        if transport == inner.length {
            guard inner.transport == (isTCP ? Transport.tcp : Transport.udp) else { throw .badOffload }
        }
        var transportLength = 8
        if isTCP {
            guard transport &+ 20 <= bytes.count else { throw .badOffload }
            transportLength = Int(bytes.byte(transport &+ 12) &>> 4) &* 4
            guard transportLength >= 20 else { throw .badOffload }
        }
        let length = transport &+ transportLength
        let segmentSize = Int(offload.gso_size)
        guard
            !inner.isFragment, length < bytes.count, segmentSize > 0, length <= 256,
            length &+ segmentSize <= SendBatch.payloadLimit
        else { throw .badOffload }
        header = bytes.slice(0, length)
        payload = bytes.slice(from: length)
        isIPv6 = inner.isIPv6
        self.isTCP = isTCP
        self.transport = transport
        self.segmentSize = segmentSize
        headerLength = length
        count = (payload.count &+ segmentSize &- 1) / segmentSize
    }

    /// Writes segment `index`'s headers to `copy`, which is ``headerLength`` long, and returns its payload.
    @inline(__always) func write(_ index: Int, to copy: PacketBytes) -> PacketBytes {
        let start = index &* segmentSize
        let part = payload.slice(start, min(segmentSize, payload.count &- start))
        let isFirst = index == 0
        let isLast = index == count &- 1
        copy.start.copyMemory(from: header.start, byteCount: header.count)
        let total = headerLength &+ part.count
        if isIPv6 {
            copy.setUInt16(4, UInt16(truncatingIfNeeded: total &- 40))
        } else {
            copy.setUInt16(2, UInt16(truncatingIfNeeded: total))
            copy.setUInt16(4, copy.uint16(4) &+ UInt16(truncatingIfNeeded: index))
            InternetChecksum.finishIPv4Header(copy, length: transport)
        }
        let field: Int
        if isTCP {
            copy.setUInt32(transport &+ 4, copy.uint32(transport &+ 4) &+ UInt32(truncatingIfNeeded: start))
            var flags = copy.byte(transport &+ 13)
            // What ends a stretch of data belongs to its last segment; the answer to a congestion mark to the first.
            if !isLast { flags &= ~(TCPFlags.fin | TCPFlags.psh) }
            if !isFirst { flags &= ~TCPFlags.cwr }
            copy.setByte(transport &+ 13, flags)
            field = transport &+ 16
        } else {
            copy.setUInt16(transport &+ 4, UInt16(truncatingIfNeeded: 8 &+ part.count))
            field = transport &+ 6
        }
        copy.setNative16(field, 0)
        let length = total &- transport
        let sum =
            InternetChecksum.pseudoHeader(
                copy, isIPv6: isIPv6, transport: isTCP ? Transport.tcp : Transport.udp, length: length)
            &+ InternetChecksum.sum(copy.slice(from: transport)) &+ InternetChecksum.sum(part)
        let value = ~InternetChecksum.fold(sum)
        copy.setNative16(field, value == 0 ? 0xffff : value)
        return part
    }
}
