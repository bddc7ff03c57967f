import CLinux
import IPNetwork

@testable import Tunnel

/// Packets for tests, made byte by byte from what the RFCs say and with a checksum of their own.
struct TestPacket {
    var source = "10.0.1.2"
    var destination = "10.0.2.2"
    var sourcePort: UInt16 = 40000
    var destinationPort: UInt16 = 80
    var hopLimit: UInt8 = 63
    var trafficClass: UInt8 = 0
    var id: UInt16 = 7
    var dontFragment = true
    var fragmentOffset: UInt16 = 0
    var ipOptions: [UInt8] = []
    /// `nil` for UDP.
    var sequence: UInt32? = 1000
    var acknowledgement: UInt32 = 5000
    var flags: UInt8 = 0x10
    var window: UInt16 = 500
    var options: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]
    var payload: [UInt8] = []
    /// Leaves only the pseudo header's sum in the checksum field, as a kernel that offloads does.
    var isPartial = false

    var isIPv6: Bool { source.contains(":") }
    var ipLength: Int { isIPv6 ? 40 : 20 + ipOptions.count }
    var headerLength: Int { ipLength + (sequence == nil ? 8 : 20 + options.count) }

    var bytes: [UInt8] {
        var transport: [UInt8] = sourcePort.octets + destinationPort.octets
        let length = headerLength - ipLength + payload.count
        if let sequence {
            transport += sequence.octets + acknowledgement.octets
            transport += [UInt8((20 + options.count) / 4) << 4, flags]
            transport += window.octets + [0, 0, 0, 0] + options
        } else {
            transport += UInt16(length).octets + [0, 0]
        }
        transport += payload
        let protocolNumber: UInt8 = sequence == nil ? 17 : 6
        let addresses = (IPAddress(source)?.bytes ?? []) + (IPAddress(destination)?.bytes ?? [])
        let pseudo = addresses + UInt32(length).octets + [0, 0, 0, protocolNumber]
        let sum = isPartial ? plainSum(pseudo) : ~plainSum(pseudo + transport)
        let field = sequence == nil ? 6 : 16
        transport.replaceSubrange(field..<field + 2, with: (sum == 0 ? 0xffff : sum).octets)
        if isIPv6 {
            return [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0] + UInt16(length).octets
                + [protocolNumber, hopLimit] + addresses + transport
        }
        var header: [UInt8] = [0x40 | UInt8(5 + ipOptions.count / 4), trafficClass]
        header += UInt16(ipLength + length).octets + id.octets
        header += ((dontFragment ? 0x4000 : 0) | fragmentOffset).octets
        header += [hopLimit, protocolNumber, 0, 0] + addresses + ipOptions
        header.replaceSubrange(10..<12, with: (~plainSum(header)).octets)
        return header + transport
    }

    /// The datagram of the same flow that follows this one on the wire.
    func next(_ payload: [UInt8], flags: UInt8? = nil) -> TestPacket {
        var next = self
        next.id &+= 1
        if let sequence { next.sequence = sequence &+ UInt32(self.payload.count) }
        next.payload = payload
        if let flags { next.flags = flags }
        return next
    }

    static func v6() -> TestPacket { TestPacket(source: "fd00:1::2", destination: "fd00:2::2") }
    static func udp() -> TestPacket {
        TestPacket(sequence: nil, flags: 0, options: [])
    }
}

/// One's complement sum as RFC 1071 writes it, a word at a time.
func plainSum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt64 = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
        sum += UInt64(bytes[index]) << 8 | UInt64(index + 1 < bytes.count ? bytes[index + 1] : 0)
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return UInt16(sum)
}

func pattern(_ count: Int, _ seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8) ^ (seed &* 97)) }
}

extension FixedWidthInteger {
    var octets: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}

/// Memory that lives as long as the test needs it.
final class TestMemory {
    private var blocks: [UnsafeMutableRawPointer] = []

    func place(_ bytes: [UInt8]) -> PacketBytes {
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        block.copyMemory(from: bytes, byteCount: bytes.count)
        blocks.append(block)
        return PacketBytes(start: block, count: bytes.count)
    }

    deinit { for block in blocks { block.deallocate() } }
}

extension PacketBytes {
    var array: [UInt8] { Array(UnsafeRawBufferPointer(start: start, count: count)) }
}

/// What a packet says of itself when taken apart again, its checksums proved.
struct TakenApart: Equatable {
    var id: UInt16 = 0
    var hopLimit: UInt8
    var sequence: UInt32 = 0
    var flags: UInt8 = 0
    var payload: [UInt8]
    var isSound: Bool

    init(_ bytes: [UInt8]) {
        let isIPv6 = bytes[0] >> 4 == 6
        let start = isIPv6 ? 40 : Int(bytes[0] & 15) * 4
        let transport = Array(bytes[start...])
        let kind = isIPv6 ? bytes[6] : bytes[9]
        let addresses = isIPv6 ? bytes[8..<40] : bytes[12..<20]
        let pseudo = Array(addresses) + UInt32(transport.count).octets + [0, 0, 0, kind]
        hopLimit = isIPv6 ? bytes[7] : bytes[8]
        let said = isIPv6 ? 40 + Int(bytes[4]) << 8 + Int(bytes[5]) : Int(bytes[2]) << 8 + Int(bytes[3])
        isSound =
            said == bytes.count && (isIPv6 || plainSum(Array(bytes[..<start])) == 0xffff)
            && plainSum(pseudo + transport) == 0xffff
        if !isIPv6 { id = UInt16(bytes[4]) << 8 | UInt16(bytes[5]) }
        if kind == 6 {
            sequence = transport[4..<8].reduce(0) { $0 << 8 | UInt32($1) }
            flags = transport[13]
            payload = Array(transport[(Int(transport[12] >> 4) * 4)...])
        } else {
            payload = Array(transport[8...])
            isSound = isSound && Int(transport[4]) << 8 + Int(transport[5]) == transport.count
        }
    }
}
