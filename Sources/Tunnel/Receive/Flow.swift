import CLinux
import Glibc

/// A super-packet being put together: the first packet with its headers, and the payloads of those that follow it.
struct Flow {
    /// A kernel takes at most 64 datagrams in one UDP super-packet (UDP_MAX_SEGMENTS).
    static let segmentLimit = 64
    /// The virtio header, the first packet, and a payload for each further one.
    static let pieceLimit = segmentLimit + 1

    var isOpen = false
    var isIPv6 = false
    var isTCP = false
    var isHeadVerified = false
    var head: PacketBytes
    var transport = 0
    var headerLength = 0
    var segmentSize = 0
    var segments = 0
    var totalLength = 0
    var nextSequence: UInt32 = 0
    var nextID: UInt16 = 0
    let offload: UnsafeMutablePointer<virtio_net_hdr>
    let pieces: UnsafeMutablePointer<iovec>

    init() {
        offload = .allocate(capacity: 1)
        offload.initialize(to: virtio_net_hdr())
        pieces = .allocate(capacity: Self.pieceLimit)
        pieces.initialize(repeating: iovec(), count: Self.pieceLimit)
        pieces[0] = iovec(iov_base: offload, iov_len: MemoryLayout<virtio_net_hdr>.size)
        head = PacketBytes(start: UnsafeMutableRawPointer(offload), count: 0)
    }

    func deallocate() {
        offload.deallocate()
        pieces.deallocate()
    }

    /// Begins with `packet`. Its checksum is looked at only when a second one comes: alone it is passed as it is.
    @inline(__always) mutating func open(_ packet: PacketBytes, _ candidate: MergeCandidate) {
        isOpen = true
        isIPv6 = candidate.isIPv6
        isTCP = candidate.isTCP
        isHeadVerified = false
        head = packet
        transport = candidate.transport
        headerLength = candidate.headerLength
        segmentSize = candidate.payloadLength
        segments = 1
        totalLength = packet.count
        if isTCP {
            nextSequence = packet.uint32(transport &+ 4) &+ UInt32(truncatingIfNeeded: candidate.payloadLength)
        }
        if !isIPv6 { nextID = packet.uint16(4) &+ 1 }
        pieces[1] = iovec(iov_base: packet.start, iov_len: packet.count)
    }

    /// Whether `packet`, of this flow, continues it in every way that the kernel's receive offload asks for.
    @inline(__always) func continues(with packet: PacketBytes, _ candidate: MergeCandidate) -> Bool {
        guard
            candidate.headerLength == headerLength, candidate.payloadLength <= segmentSize,
            segments < Self.segmentLimit, totalLength &+ candidate.payloadLength <= 65535
        else { return false }
        if isIPv6 {
            // Version, traffic class and flow label; hop limit.
            guard packet.native32(0) == head.native32(0), packet.byte(7) == head.byte(7) else { return false }
        } else {
            // Type of service; TTL; "don't fragment" and the reserved bit.
            guard
                packet.byte(1) == head.byte(1), packet.byte(8) == head.byte(8), packet.native16(6) == head.native16(6)
            else { return false }
            // The kernel counts the ids up again when it cuts. Where fragments are forbidden they mean nothing (RFC 6864).
            guard packet.byte(6) & 0x40 != 0 || packet.uint16(4) == nextID else { return false }
        }
        guard isTCP else { return true }
        return packet.uint32(transport &+ 4) == nextSequence
            // Acknowledgement; length, flags (judged before) and window; urgent pointer and options.
            && packet.native32(transport &+ 8) == head.native32(transport &+ 8)
            && packet.native16(transport &+ 14) == head.native16(transport &+ 14)
            && packet.equals(head, at: transport &+ 18, headerLength &- transport &- 18)
    }

    /// Adds the payload of `packet`, and returns whether it was the last: pushed, or short.
    @inline(__always) mutating func append(_ packet: PacketBytes, _ candidate: MergeCandidate) -> Bool {
        segments = segments &+ 1
        pieces[segments] = iovec(iov_base: packet.start + headerLength, iov_len: candidate.payloadLength)
        totalLength = totalLength &+ candidate.payloadLength
        nextSequence = nextSequence &+ UInt32(truncatingIfNeeded: candidate.payloadLength)
        nextID = nextID &+ 1
        let isPushed = candidate.flags & TCPFlags.psh != 0
        if isPushed { head.setByte(transport &+ 13, head.byte(transport &+ 13) | TCPFlags.psh) }
        return isPushed || candidate.payloadLength < segmentSize || segments == Self.segmentLimit
    }

    /// Makes the headers those of the whole, takes one off the TTL, and leaves the transport checksum to the kernel.
    @inline(__always) func finish() {
        if isIPv6 {
            head.setUInt16(4, UInt16(truncatingIfNeeded: totalLength &- 40))
            head.setByte(7, head.byte(7) &- 1)
        } else {
            head.setUInt16(2, UInt16(truncatingIfNeeded: totalLength))
            head.setByte(8, head.byte(8) &- 1)
            InternetChecksum.finishIPv4Header(head, length: 20)
        }
        let length = totalLength &- transport
        let field = isTCP ? 16 : 6
        if !isTCP { head.setUInt16(transport &+ 4, UInt16(truncatingIfNeeded: length)) }
        let sum = InternetChecksum.pseudoHeader(
            head, isIPv6: isIPv6, transport: isTCP ? Transport.tcp : Transport.udp, length: length)
        head.setNative16(transport &+ field, InternetChecksum.fold(sum))
        offload.pointee = virtio_net_hdr(
            flags: UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM),
            gso_type: UInt8(
                isTCP
                    ? (isIPv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) : VIRTIO_NET_HDR_GSO_UDP_L4),
            hdr_len: UInt16(truncatingIfNeeded: headerLength), gso_size: UInt16(truncatingIfNeeded: segmentSize),
            csum_start: UInt16(truncatingIfNeeded: transport), csum_offset: UInt16(truncatingIfNeeded: field))
    }
}
