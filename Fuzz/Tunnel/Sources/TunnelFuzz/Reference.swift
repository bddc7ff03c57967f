/// What the packet paths must do, written a second time: byte by byte, without regard to speed, and with nothing of theirs.
enum Reference {
    static func word(_ bytes: [UInt8], _ offset: Int) -> Int { Int(bytes[offset]) << 8 | Int(bytes[offset + 1]) }

    static func put(_ value: Int, _ offset: Int, in bytes: inout [UInt8]) {
        bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// The folded one's complement sum of `bytes[range]` and `start` (RFC 1071).
    static func sum(_ bytes: [UInt8], _ range: Range<Int>, _ start: Int = 0) -> Int {
        var sum = start
        var isHigh = true
        for byte in bytes[range] {
            sum += isHigh ? Int(byte) << 8 : Int(byte)
            isHigh.toggle()
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return sum
    }

    static func isIPv6(_ packet: [UInt8]) -> Bool { packet[0] >> 4 == 6 }
    static func headerLength(_ packet: [UInt8]) -> Int { isIPv6(packet) ? 40 : Int(packet[0] & 15) * 4 }
    static func transport(_ packet: [UInt8]) -> UInt8 { isIPv6(packet) ? packet[6] : packet[9] }
    static func isFragment(_ packet: [UInt8]) -> Bool {
        isIPv6(packet) ? packet[6] == 44 : word(packet, 6) & 0x3fff != 0
    }

    static func pseudo(_ packet: [UInt8], _ transport: UInt8, _ length: Int) -> Int {
        sum(packet, isIPv6(packet) ? 8..<40 : 12..<20) + Int(transport) + length
    }

    static func hasRightTransportChecksum(_ packet: [UInt8]) -> Bool {
        let start = headerLength(packet)
        return sum(packet, start..<packet.count, pseudo(packet, transport(packet), packet.count - start)) == 0xffff
    }

    static func hasRightHeaderChecksum(_ packet: [UInt8]) -> Bool {
        isIPv6(packet) || sum(packet, 0..<headerLength(packet)) == 0xffff
    }

    /// The packet without what is behind it, or `nil` when its header cannot be.
    static func parse(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count >= 20 else { return nil }
        let total: Int
        switch bytes[0] >> 4 {
        case 4:
            total = word(bytes, 2)
            guard bytes[0] & 15 >= 5, total >= Int(bytes[0] & 15) * 4 else { return nil }
        case 6:
            guard bytes.count >= 40 else { return nil }
            total = 40 + word(bytes, 4)
        default: return nil
        }
        return total <= bytes.count ? Array(bytes[..<total]) : nil
    }

    /// One hop on, or `nil` when the packet has none left.
    static func forward(_ packet: [UInt8]) -> [UInt8]? {
        var packet = packet
        let field = isIPv6(packet) ? 7 : 8
        guard packet[field] > 1 else { return nil }
        let before = word(packet, 8)
        packet[field] -= 1
        if !isIPv6(packet) {
            // RFC 1624, equation 3: a checksum that was wrong stays so.
            let value = sum([], 0..<0, (~word(packet, 10) & 0xffff) + (~before & 0xffff) + word(packet, 8))
            put(~value, 10, in: &packet)
        }
        return packet
    }

    /// Cuts a super-packet as its receiver's kernel would: `tcp_gso_segment`, `__udp_gso_segment`.
    static func cut(_ packet: [UInt8], size: Int, isTCP: Bool, transport start: Int) -> [[UInt8]] {
        let headers = start + (isTCP ? Int(packet[start + 12] >> 4) * 4 : 8)
        let count = (packet.count - headers + size - 1) / size
        return (0..<count).map { index in
            let from = headers + index * size
            var part = Array(packet[..<headers] + packet[from..<min(from + size, packet.count)])
            let isLast = index == count - 1
            let length = part.count - start
            if isIPv6(packet) {
                put(part.count - 40, 4, in: &part)
            } else {
                put(part.count, 2, in: &part)
                put(word(packet, 4) + index, 4, in: &part)
                put(0, 10, in: &part)
                put(~sum(part, 0..<start), 10, in: &part)
            }
            if isTCP {
                let sequence = (word(packet, start + 4) << 16 | word(packet, start + 6)) + index * size
                put(sequence >> 16, start + 4, in: &part)
                put(sequence, start + 6, in: &part)
                if !isLast { part[start + 13] &= ~0x09 }
                if index > 0 { part[start + 13] &= ~0x80 }
            } else {
                put(length, start + 4, in: &part)
            }
            let field = start + (isTCP ? 16 : 6)
            put(0, field, in: &part)
            let value = ~sum(part, start..<part.count, pseudo(part, isTCP ? 6 : 17, length)) & 0xffff
            put(value == 0 ? 0xffff : value, field, in: &part)
            return part
        }
    }
}

/// A packet that came out, and whether it was part of a larger one.
struct Seen {
    var packet: [UInt8]
    var wasCut: Bool

    /// Whether this is `fed`. What the cutting makes anew, a header checksum, a transport checksum and an id that means
    /// nothing (RFC 6864), may be written in another way where it was right before.
    func isSame(as fed: [UInt8]) -> Bool {
        guard packet.count == fed.count else { return false }
        var other = fed
        if !Reference.isIPv6(packet) {
            // Both zeros mean the same.
            let isSame = Reference.word(packet, 10) % 0xffff == Reference.word(fed, 10) % 0xffff
            guard isSame || wasCut && Reference.hasRightHeaderChecksum(packet) else { return false }
            Reference.put(Reference.word(packet, 10), 10, in: &other)
            if wasCut, packet[6] & 0x40 != 0 { Reference.put(Reference.word(packet, 4), 4, in: &other) }
        }
        if wasCut, packet != other {
            guard Reference.hasRightTransportChecksum(fed), Reference.hasRightTransportChecksum(packet) else {
                return false
            }
            let field = Reference.headerLength(packet) + (Reference.transport(packet) == 6 ? 16 : 6)
            Reference.put(Reference.word(packet, field), field, in: &other)
        }
        return packet == other
    }

    /// Packets for which this is equal must stay in order.
    static func flow(_ packet: [UInt8]) -> [UInt8] {
        let start = Reference.headerLength(packet)
        let kind = Reference.transport(packet)
        let isWhole =
            !Reference.isFragment(packet)
            && (kind == 6 && packet.count >= start + 20 || kind == 17 && packet.count >= start + 8)
        let addresses = Reference.isIPv6(packet) ? packet[8..<40] : packet[12..<20]
        return addresses + [kind, isWhole ? 1 : 0] + (isWhole ? packet[start..<start + 4] : [])
    }

    /// Stops unless `seen` is what was fed: nothing lost, changed, made up, or moved within its flow.
    static func check(_ seen: [Seen], against fed: [[UInt8]]) {
        precondition(seen.count == fed.count, "packets were lost or made up")
        // Mostly nothing was moved at all.
        if zip(seen, fed).allSatisfy({ $0.isSame(as: $1) }) { return }
        var left: [[UInt8]?] = fed
        for one in seen {
            let flow = flow(one.packet)
            guard let index = left.firstIndex(where: { $0.map { Self.flow($0) == flow } ?? false }),
                let next = left[index]
            else { preconditionFailure("a packet was made up") }
            precondition(one.isSame(as: next), "a packet was changed, or moved in its flow")
            left[index] = nil
        }
    }
}
