/// The one's complement sum of IP, TCP and UDP (RFC 1071).
///
/// All sums are over words as the machine orders them. The result is then in that order too and is stored without a swap
/// (RFC 1071, section 2, "byte order independence"); lengths and protocol numbers enter as `bigEndian`.
enum InternetChecksum {
    /// The sum of the bytes as 16-bit words, an odd last byte padded with a zero; not folded. At most 4 MiB, beyond which
    /// a lane would overflow.
    @inline(__always) static func sum(_ bytes: PacketBytes) -> UInt64 {
        sum(UnsafeRawPointer(bytes.start), bytes.count)
    }

    static func sum(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
        var position = start
        var left = count
        var total: UInt64 = 0
        if left >= 64 {
            // Whole 32-bit lanes and their high halves: three vector operations for 16 bytes with SSE2 alone. What the
            // whole ones overflow by is known afterwards, since the low halves cannot.
            var whole = SIMD16<UInt32>(repeating: 0)
            var high = SIMD16<UInt32>(repeating: 0)
            while left >= 64 {
                let words = position.loadUnaligned(as: SIMD16<UInt32>.self)
                whole &+= words
                high &+= words &>> 16
                position += 64
                left &-= 64
            }
            let low = whole &- high &<< 16
            for lane in 0..<16 { total &+= UInt64(low[lane]) &+ UInt64(high[lane]) }
        }
        while left >= 4 {
            total &+= UInt64(position.loadUnaligned(as: UInt32.self))
            position += 4
            left &-= 4
        }
        if left >= 2 {
            total &+= UInt64(position.loadUnaligned(as: UInt16.self))
            position += 2
            left &-= 2
        }
        if left == 1 { total &+= UInt64(UInt16(position.load(as: UInt8.self)).littleEndian) }
        return total
    }

    /// The sum with its carries added in: 16 bits.
    @inline(__always) static func fold(_ sum: UInt64) -> UInt16 {
        var value = (sum & 0xffff_ffff) &+ (sum &>> 32)
        value = (value & 0xffff) &+ (value &>> 16)
        value = (value & 0xffff) &+ (value &>> 16)
        value = (value & 0xffff) &+ (value &>> 16)
        return UInt16(truncatingIfNeeded: value)
    }

    /// The sum of the pseudo header (RFC 793, section 3.1; RFC 8200, section 8.1) of a packet whose addresses are in
    /// `bytes`, for `length` bytes of transport header and payload.
    @inline(__always) static func pseudoHeader(
        _ bytes: PacketBytes, isIPv6: Bool, transport: UInt8, length: Int
    ) -> UInt64 {
        var sum = UInt64(UInt16(transport).bigEndian)
        // The length has 16 bits in IPv4 and 32 in IPv6; the sum of its halves is the same.
        sum &+= UInt64(UInt16(truncatingIfNeeded: length).bigEndian)
        sum &+= UInt64(UInt16(truncatingIfNeeded: length &>> 16).bigEndian)
        if isIPv6 {
            var offset = 8
            while offset < 40 {
                sum &+= UInt64(bytes.native32(offset))
                offset = offset &+ 4
            }
        } else {
            sum &+= UInt64(bytes.native32(12)) &+ UInt64(bytes.native32(16))
        }
        return sum
    }

    /// Writes an IPv4 header's checksum anew.
    @inline(__always) static func finishIPv4Header(_ bytes: PacketBytes, length: Int) {
        bytes.setNative16(10, 0)
        bytes.setNative16(10, ~fold(sum(bytes.slice(0, length))))
    }
}
