/// A packet of which a kernel's receive offload would make part of a super-packet: plain TCP data, or UDP.
struct MergeCandidate {
    var isIPv6: Bool
    var isTCP: Bool
    /// Where the transport header starts: 20 or 40.
    var transport: Int
    /// IP and transport header.
    var headerLength: Int
    var payloadLength: Int
    /// TCP's flags; 0 for UDP.
    var flags: UInt8

    /// What is to be done with a packet.
    enum Kind {
        /// Merge it.
        case candidate
        /// Pass it on after what is open of its flow, so that the flow stays in order.
        case ordered
        /// Nothing that is merged can be of its flow.
        case other
    }

    /// Judges `packet`, trimmed to its own length.
    @inline(__always) static func judge(
        _ packet: PacketBytes, _ header: InnerHeader, mergesUDP: Bool, into candidate: inout MergeCandidate
    ) -> Kind {
        guard !header.isFragment else { return .other }
        let isTCP = header.transport == Transport.tcp
        guard isTCP || mergesUDP && header.transport == Transport.udp else { return .other }
        let transport = header.length
        guard transport &+ (isTCP ? 20 : 8) <= packet.count else { return .other }
        candidate.isIPv6 = header.isIPv6
        candidate.isTCP = isTCP
        candidate.transport = transport
        // Options mean something for each packet on its own.
        guard header.isIPv6 || transport == 20 else { return .ordered }
        if isTCP {
            let length = Int(packet.byte(transport &+ 12) &>> 4) &* 4
            let flags = packet.byte(transport &+ 13)
            candidate.headerLength = transport &+ length
            candidate.payloadLength = packet.count &- candidate.headerLength
            candidate.flags = flags
            guard length >= 20, candidate.payloadLength > 0, flags & ~TCPFlags.psh == TCPFlags.ack else {
                return .ordered
            }
        } else {
            candidate.headerLength = transport &+ 8
            candidate.payloadLength = packet.count &- candidate.headerLength
            candidate.flags = 0
            guard
                candidate.payloadLength > 0, packet.native16(transport &+ 6) != 0,
                Int(packet.uint16(transport &+ 4)) == packet.count &- transport
            else { return .ordered }
        }
        return .candidate
    }

    /// Whether the transport checksum over all of `packet` is right.
    @inline(__always) func hasRightChecksum(_ packet: PacketBytes) -> Bool {
        let sum =
            InternetChecksum.pseudoHeader(
                packet, isIPv6: isIPv6, transport: isTCP ? Transport.tcp : Transport.udp,
                length: packet.count &- transport)
            &+ InternetChecksum.sum(packet.slice(from: transport))
        return InternetChecksum.fold(sum) == 0xffff
    }

    /// Whether both packets have the same addresses, transport and ports.
    @inline(__always) static func isSameFlow(
        _ left: PacketBytes, _ right: PacketBytes, isIPv6: Bool, leftTransport: Int, rightTransport: Int
    ) -> Bool {
        guard left.native32(leftTransport) == right.native32(rightTransport) else { return false }
        guard isIPv6 else { return left.native64(12) == right.native64(12) }
        return left.native64(8) == right.native64(8) && left.native64(16) == right.native64(16)
            && left.native64(24) == right.native64(24) && left.native64(32) == right.native64(32)
    }
}
