/// Packets of four flows that continue one another but for what the input changes: what coalescing has to see through.
enum Bait {
    /// Two bytes of the input for each packet: the first says of which flow it is (TCP and UDP of both families) and how
    /// long, the second what is different about it. At most 70.
    static func packets(_ input: [UInt8]) -> [[UInt8]] {
        var sequences = [0xffff_fc00, 5, 0, 0]
        var ids = [0xfffe, 0, 7, 0]
        return (0..<min(input.count / 2, 70)).map { index in
            let first = input[index * 2]
            let change = input[index * 2 + 1]
            let flow = Int(first & 3)
            let length = [100, 100, 100, 33, 1, 0, 101, 1400][Int(first >> 2 & 7)]
            var flags: UInt8 = 0x10
            var sequence = sequences[flow]
            switch change & 31 {
            case 1: sequence += 1
            case 2: sequence -= 1
            case 3: sequence -= length
            case 4...11: flags ^= 1 << (change & 7)
            default: break
            }
            let isIPv6 = flow & 1 == 1
            let isTCP = flow < 2
            var transport: [UInt8] = [0x40, 0, 0, 80]
            if isTCP {
                transport += (0..<4).map { UInt8(truncatingIfNeeded: sequence >> (24 - $0 * 8)) }
                transport += [0, 0, 0, change & 31 == 12 ? 2 : 1, 0x80, flags, change & 31 == 13 ? 2 : 1, 0, 0, 0]
                transport += [
                    0, change & 31 == 14 ? 1 : 0, 1, 1, 8, 10, 0, 0, 0, change & 31 == 15 ? 2 : 1, 0, 0, 0, 3,
                ]
            } else {
                transport += [0, 0, 0, 0]
            }
            transport += (0..<length).map { UInt8(truncatingIfNeeded: sequence + $0) }
            if !isTCP { Reference.put(transport.count, 4, in: &transport) }
            let service: UInt8 = change & 31 == 16 ? 3 : 0
            let hops: UInt8 = change & 31 == 17 ? 61 : 60
            let kind: UInt8 = isTCP ? 6 : 17
            var packet: [UInt8]
            if isIPv6 {
                packet = [0x60, service << 4, 0, change & 31 == 18 ? 1 : 0, 0, 0, kind, hops]
                packet += [0xfd, 0, 0, 1] + [UInt8](repeating: 0, count: 11) + [2]
                packet += [0xfd, 0, 0, 2] + [UInt8](repeating: 0, count: 11) + [2]
                if change & 31 == 19 {
                    // A hop-by-hop header with padding.
                    packet[6] = 0
                    packet += [kind, 0, 1, 4, 0, 0, 0, 0]
                }
                Reference.put(packet.count - 40 + transport.count, 4, in: &packet)
            } else {
                let options: [UInt8] = change & 31 == 19 ? [1, 1, 1, 0] : []
                packet = [UInt8(0x45 + options.count / 4), service, 0, 0, 0, 0, first & 0x40, 0, hops, kind, 0, 0]
                packet += [10, 0, 1, 2, 10, 0, 2, 2] + options
                Reference.put(packet.count + transport.count, 2, in: &packet)
                Reference.put(ids[flow] + (change & 31 == 20 ? 1 : 0), 4, in: &packet)
                if change & 31 == 21 { packet[6] |= 0x20 }
                if change & 31 == 22 { packet[7] = 5 }
                if change & 31 == 23 { packet[6] |= 0x80 }
            }
            packet = finish(packet + transport)
            let field = packet.count - transport.count + (isTCP ? 16 : 6)
            switch change & 31 {
            case 24: packet[field] ^= 1
            case 25: packet[packet.count - 1] ^= 0x20
            case 26 where !isTCP: Reference.put(0, field, in: &packet)
            case 27 where !isTCP: Reference.put(transport.count - 1, field - 2, in: &packet)
            case 28: packet += [1, 2, 3]
            default: break
            }
            sequences[flow] = sequence + length
            ids[flow] += 1
            return packet
        }
    }

    /// Writes both checksums of a packet without extension headers or with one hop-by-hop header.
    static func finish(_ packet: [UInt8]) -> [UInt8] {
        var packet = packet
        var start = Reference.headerLength(packet)
        var kind = Reference.transport(packet)
        if Reference.isIPv6(packet), kind == 0 {
            kind = packet[40]
            start = 48
        } else if !Reference.isIPv6(packet) {
            Reference.put(0, 10, in: &packet)
            Reference.put(~Reference.sum(packet, 0..<start), 10, in: &packet)
        }
        let field = start + (kind == 6 ? 16 : 6)
        let pseudo = Reference.pseudo(packet, kind, packet.count - start)
        let value = ~Reference.sum(packet, start..<packet.count, pseudo) & 0xffff
        Reference.put(value == 0 ? 0xffff : value, field, in: &packet)
        return packet
    }
}
