import Glibc

/// What the IP header of a packet in the tunnel says, once it has been found to be possible.
struct InnerHeader {
    var isIPv6: Bool
    /// Bytes: IPv4's header with its options, or IPv6's 40.
    var length: Int
    /// Bytes of the packet by its own account; never more than there are.
    var totalLength: Int
    /// IPv4's protocol, or IPv6's first next header: extension headers are not walked.
    var transport: UInt8
    /// A fragment, the first included.
    var isFragment: Bool

    /// - Throws: why the packet cannot be one.
    @inline(__always) init(_ bytes: PacketBytes) throws(DropReason) {
        guard bytes.count >= 20 else { throw .truncated }
        switch bytes.byte(0) &>> 4 {
        case 4:
            let length = Int(bytes.byte(0) & 15) &* 4
            let total = Int(bytes.uint16(2))
            guard length >= 20, total >= length else { throw .malformed }
            guard total <= bytes.count else { throw .truncated }
            isIPv6 = false
            self.length = length
            totalLength = total
            transport = bytes.byte(9)
            isFragment = bytes.uint16(6) & 0x3fff != 0
        case 6:
            guard bytes.count >= 40 else { throw .truncated }
            let total = 40 &+ Int(bytes.uint16(4))
            guard total <= bytes.count else { throw .truncated }
            isIPv6 = true
            length = 40
            totalLength = total
            transport = bytes.byte(6)
            isFragment = transport == 44
        default:
            throw .malformed
        }
    }
}

/// Fields at the same place in every packet of a family.
extension PacketBytes {
    /// IPv4's time to live or IPv6's hop limit.
    @inline(__always) func hopLimit(isIPv6: Bool) -> UInt8 { byte(isIPv6 ? 7 : 8) }

    /// Takes one off the hop limit, which must be over 0, and mends IPv4's checksum (RFC 1624).
    @inline(__always) func decrementHopLimit(isIPv6: Bool) {
        if isIPv6 {
            setByte(7, byte(7) &- 1)
        } else {
            setByte(8, byte(8) &- 1)
            // The word of the TTL went down by 0x100, so its complement goes up by that, with the carry added in.
            let sum = UInt32(uint16(10)) &+ 0x100
            setUInt16(10, UInt16(truncatingIfNeeded: sum >= 0xffff ? sum &+ 1 : sum))
        }
    }
}

/// Transport protocols, as in the IP header.
enum Transport {
    static let icmp = UInt8(IPPROTO_ICMP)
    static let tcp = UInt8(IPPROTO_TCP)
    static let udp = UInt8(IPPROTO_UDP)
    static let icmpv6 = UInt8(IPPROTO_ICMPV6)
}

/// The flags in byte 13 of a TCP header.
enum TCPFlags {
    static let fin: UInt8 = 0x01
    static let psh: UInt8 = 0x08
    static let ack: UInt8 = 0x10
    static let cwr: UInt8 = 0x80
}
