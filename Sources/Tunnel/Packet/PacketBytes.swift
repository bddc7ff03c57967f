/// A window on packet bytes that somebody else owns and keeps alive.
///
/// Every read and write is checked against the window, so a length that a hostile header got past the parser stops the
/// process and never reaches other memory. Multi-byte values are in network order unless a name says otherwise.
struct PacketBytes {
    let start: UnsafeMutableRawPointer
    let count: Int

    @inline(__always) init(start: UnsafeMutableRawPointer, count: Int) {
        self.start = start
        self.count = count
    }

    @inline(__always) private func check(_ offset: Int, _ size: Int) {
        precondition(offset >= 0 && size >= 0 && offset <= count &- size, "outside the packet")
    }

    @inline(__always) func byte(_ offset: Int) -> UInt8 {
        check(offset, 1)
        return start.load(fromByteOffset: offset, as: UInt8.self)
    }

    /// The two bytes as the machine orders them: for sums and comparisons, where the order does not matter.
    @inline(__always) func native16(_ offset: Int) -> UInt16 {
        check(offset, 2)
        return start.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
    }

    @inline(__always) func native32(_ offset: Int) -> UInt32 {
        check(offset, 4)
        return start.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }

    @inline(__always) func native64(_ offset: Int) -> UInt64 {
        check(offset, 8)
        return start.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    @inline(__always) func uint16(_ offset: Int) -> UInt16 { UInt16(bigEndian: native16(offset)) }
    @inline(__always) func uint32(_ offset: Int) -> UInt32 { UInt32(bigEndian: native32(offset)) }
    @inline(__always) func uint64(_ offset: Int) -> UInt64 { UInt64(bigEndian: native64(offset)) }

    @inline(__always) func setByte(_ offset: Int, _ value: UInt8) {
        check(offset, 1)
        start.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    @inline(__always) func setNative16(_ offset: Int, _ value: UInt16) {
        check(offset, 2)
        start.storeBytes(of: value, toByteOffset: offset, as: UInt16.self)
    }

    @inline(__always) func setUInt16(_ offset: Int, _ value: UInt16) { setNative16(offset, value.bigEndian) }

    @inline(__always) func setUInt32(_ offset: Int, _ value: UInt32) {
        check(offset, 4)
        start.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// The window from `offset` on, `length` bytes of it.
    @inline(__always) func slice(_ offset: Int, _ length: Int) -> PacketBytes {
        check(offset, length)
        return PacketBytes(start: start + offset, count: length)
    }

    @inline(__always) func slice(from offset: Int) -> PacketBytes { slice(offset, count &- offset) }

    /// Whether `length` bytes at `offset` are the same in both.
    @inline(__always) func equals(_ other: PacketBytes, at offset: Int, _ length: Int) -> Bool {
        check(offset, length)
        other.check(offset, length)
        // Headers are short and multiples of four long: a loop beats the call of memcmp.
        var position = offset
        while position &+ 4 <= offset &+ length {
            guard native32(position) == other.native32(position) else { return false }
            position = position &+ 4
        }
        while position < offset &+ length {
            guard byte(position) == other.byte(position) else { return false }
            position = position &+ 1
        }
        return true
    }
}
