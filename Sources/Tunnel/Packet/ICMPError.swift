import Glibc
import IPNetwork

/// Builds the ICMP errors of a router (RFC 792, RFC 1812 section 4.3, RFC 4443).
enum ICMPError {
    /// The longest message: IPv4's 576 bytes, IPv6's minimum MTU.
    static let limit = 1280

    /// Whether the source of `packet` may be told: not about ICMP errors, later fragments, groups, or a source that is
    /// nobody (RFC 1812, section 4.3.2.7).
    static func isAllowed(_ packet: PacketBytes, _ header: InnerHeader) -> Bool {
        guard !packet.isMulticast(isIPv6: header.isIPv6) else { return false }
        if header.isIPv6 {
            // Unspecified, or multicast. The first word of a usable address is never 0 but for ::1 and the like.
            guard packet.uint64(8) != 0, packet.byte(8) != 0xff, header.transport != 44 else { return false }
            guard header.transport == Transport.icmpv6 else { return true }
            return header.totalLength > 40 && packet.byte(40) >= 128
        }
        let source = IPv4Address(rawValue: packet.uint32(12))
        guard !source.isThisNetwork, !source.isLoopback, !source.isMulticast, !source.isReserved else { return false }
        guard packet.uint16(6) & 0x1fff == 0 else { return false }
        guard header.transport == Transport.icmp else { return true }
        // Queries and their answers; all else is an error or unknown.
        guard header.totalLength > header.length else { return false }
        switch packet.byte(header.length) {
        case 0, 8, 13...18: return true
        default: return false
        }
    }

    /// Writes the error about `packet` into `buffer`, which holds ``limit`` bytes, and returns its length.
    ///
    /// - Parameter source: 4 or 16 bytes, of the family of the packet.
    static func write(
        about packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, from source: PacketBytes,
        to buffer: PacketBytes
    ) -> Int {
        let overhead = header.isIPv6 ? 48 : 28
        let quoted = min(packet.count, (header.isIPv6 ? limit : 576) - overhead)
        let total = overhead + quoted
        buffer.start.initializeMemory(as: UInt8.self, repeating: 0, count: overhead)
        (buffer.start + overhead).copyMemory(from: packet.start, byteCount: quoted)
        let icmp = overhead - 8
        if header.isIPv6 {
            buffer.setByte(0, 0x60)
            buffer.setUInt16(4, UInt16(total - 40))
            buffer.setByte(6, Transport.icmpv6)
            buffer.setByte(7, 64)
            buffer.slice(8, 16).start.copyMemory(from: source.slice(0, 16).start, byteCount: 16)
            (buffer.start + 24).copyMemory(from: packet.start + 8, byteCount: 16)
            buffer.setByte(icmp, reason == .hopLimit ? 3 : 1)
        } else {
            buffer.setByte(0, 0x45)
            buffer.setUInt16(2, UInt16(total))
            buffer.setByte(8, 64)
            buffer.setByte(9, Transport.icmp)
            buffer.slice(12, 4).start.copyMemory(from: source.slice(0, 4).start, byteCount: 4)
            (buffer.start + 16).copyMemory(from: packet.start + 12, byteCount: 4)
            InternetChecksum.finishIPv4Header(buffer, length: 20)
            buffer.setByte(icmp, reason == .hopLimit ? 11 : 3)
        }
        // Code 0 in all four: net unreachable, TTL exceeded in transit, no route, hop limit exceeded.
        let message = buffer.slice(icmp, total - icmp)
        var sum = InternetChecksum.sum(message)
        if header.isIPv6 {
            sum += InternetChecksum.pseudoHeader(
                buffer, isIPv6: true, transport: Transport.icmpv6, length: message.count)
        }
        buffer.setNative16(icmp + 2, ~InternetChecksum.fold(sum))
        return total
    }
}
