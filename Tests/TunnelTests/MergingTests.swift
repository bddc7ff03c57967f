import CLinux
import Testing

@testable import Tunnel

/// Every packet that a case sends, and the sizes in packets of what is written: what may be merged is, and nothing else.
@Suite struct MergingTests {
    private let first = TestPacket(payload: pattern(1000))

    /// Sends the packets and returns how many make up each write, having checked that no byte was lost or moved.
    private func merge(_ packets: [TestPacket], mergesUDP: Bool = true) -> [Int] {
        let rig = ReceiveRig(mergesUDP: mergesUDP)
        for packet in packets { rig.process(packet.bytes) }
        let writes = rig.finish()
        var expected: [UInt8] = []
        for packet in packets { expected += packet.payload }
        let written = writes.flatMap { write in TakenApart(write.packet).payload }
        #expect(written == expected)
        return writes.map { write in
            let size = TakenApart(write.packet).payload.count
            return write.size == 0 ? 1 : (size + write.size - 1) / write.size
        }
    }

    private func followers(_ count: Int, of packet: TestPacket) -> [TestPacket] {
        var packets = [packet]
        for index in 0..<count { packets.append(packets[index].next(pattern(packet.payload.count, index + 1))) }
        return packets
    }

    @Test func consecutiveSegmentsBecomeOne() {
        #expect(merge(followers(4, of: first)) == [5])
        var v6 = TestPacket.v6()
        v6.payload = pattern(900)
        #expect(merge(followers(9, of: v6)) == [10])
    }

    @Test func theSuperPacketSaysWhatTheKernelNeeds() throws {
        let rig = ReceiveRig()
        for packet in followers(2, of: first) { rig.process(packet.bytes) }
        rig.process(first.next([]).bytes)
        let write = try #require(rig.finish().first)
        #expect(write.offload.flags == UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM))
        #expect(Int32(write.offload.gso_type) == VIRTIO_NET_HDR_GSO_TCPV4)
        #expect(write.offload.gso_size == 1000)
        #expect(write.offload.hdr_len == 52)
        #expect(write.offload.csum_start == 20)
        #expect(write.offload.csum_offset == 16)
        #expect(write.packet[8] == first.hopLimit - 1)
        #expect(Int(write.packet[2]) << 8 + Int(write.packet[3]) == write.packet.count)
        #expect(plainSum(Array(write.packet[..<20])) == 0xffff)
        // The field holds the pseudo header's sum, not its complement.
        var whole = first
        whole.payload = TakenApart(write.packet).payload
        whole.isPartial = true
        #expect(write.packet[36..<38] == whole.bytes[36..<38])
    }

    /// What was cut here and merged there is what the sender's kernel had.
    @Test(arguments: [
        (TestPacket(payload: pattern(50000)), VIRTIO_NET_HDR_GSO_TCPV4),
        (TestPacket(source: "fd00:1::2", destination: "fd00:2::2", payload: pattern(50000)), VIRTIO_NET_HDR_GSO_TCPV6),
        (TestPacket(sequence: nil, options: [], payload: pattern(50000)), VIRTIO_NET_HDR_GSO_UDP_L4),
    ])
    func cuttingAndMergingIsTheIdentity(packet: TestPacket, type: Int32) throws {
        let send = SendRig()
        var partial = packet
        partial.isPartial = true
        let offload = virtio_net_hdr(
            flags: UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM), gso_type: UInt8(type), hdr_len: 0, gso_size: 1400,
            csum_start: UInt16(packet.ipLength), csum_offset: packet.sequence == nil ? 6 : 16)
        send.process(partial.bytes, offload)
        let receive = ReceiveRig()
        for message in send.finish().messages {
            receive.process(message.datagrams.flatMap { $0 }, segmentSize: message.datagrams[0].count)
        }
        let writes = receive.finish()
        partial.hopLimit -= 2
        #expect(writes.map(\.packet) == [partial.bytes])
        #expect(writes.map(\.size) == [1400])
    }

    @Test func aShortSegmentIsTheLast() {
        var packets = followers(2, of: first)
        packets.append(packets[2].next(pattern(10)))
        packets.append(packets[3].next(pattern(1000)))
        #expect(merge(packets) == [4, 1])
    }

    @Test func aLongerSegmentStartsAnew() {
        let long = first.next(pattern(1001))
        #expect(merge([first, long, long.next(pattern(1001))]) == [1, 2])
    }

    @Test func aPushedSegmentIsTheLastAndKeepsItsFlag() throws {
        var packets = followers(1, of: first)
        packets.append(packets[1].next(pattern(1000), flags: 0x18))
        packets.append(packets[2].next(pattern(1000), flags: 0x10))
        #expect(merge(packets) == [3, 1])
        let rig = ReceiveRig()
        for packet in packets { rig.process(packet.bytes) }
        #expect(try #require(rig.finish().first).packet[33] == 0x18)
    }

    @Test func sixtyFourSegmentsAreEnough() {
        var small = first
        small.payload = pattern(100)
        #expect(merge(followers(99, of: small)) == [64, 36])
    }

    @Test func noPacketGrowsPastTheLargest() {
        var large = first
        large.payload = pattern(9000)
        #expect(merge(followers(9, of: large)) == [7, 3])
    }

    /// One difference each, in the second of three segments: it and the third are not joined with the first.
    @Test(arguments: [
        "acknowledgement", "window", "fin", "syn", "rst", "urg", "ece", "cwr", "no ack", "options", "more options",
        "ttl",
        "tos", "may fragment", "gap", "overlap", "repeated",
    ])
    func baitIsNotTaken(difference: String) {
        var second = first.next(pattern(1000, 1))
        switch difference {
        case "acknowledgement": second.acknowledgement += 1
        case "window": second.window += 1
        case "fin": second.flags |= 0x01
        case "syn": second.flags |= 0x02
        case "rst": second.flags |= 0x04
        case "urg": second.flags |= 0x20
        case "ece": second.flags |= 0x40
        case "cwr": second.flags |= 0x80
        case "no ack": second.flags = 0
        case "options": second.options[7] ^= 1
        case "more options": second.options += [1, 1, 1, 1]
        case "ttl": second.hopLimit -= 1
        case "tos": second.trafficClass = 3
        case "may fragment": second.dontFragment = false
        case "gap": second.sequence? += 1
        case "overlap": second.sequence? -= 1
        default: second.sequence = first.sequence
        }
        let written = merge([first, second])
        #expect(written == [1, 1])
    }

    /// As above, with what only IPv6 has.
    @Test(arguments: ["hop limit", "traffic class", "timestamps", "fin", "ece", "gap"])
    func baitIsNotTakenInIPv6(difference: String) {
        var packet = TestPacket.v6()
        packet.payload = pattern(900)
        var second = packet.next(pattern(900, 1))
        switch difference {
        case "hop limit": second.hopLimit -= 1
        case "traffic class": second.trafficClass = 3
        case "timestamps": second.options[7] ^= 1
        case "fin": second.flags |= 0x01
        case "ece": second.flags |= 0x40
        default: second.sequence? += 1
        }
        #expect(merge([packet, second]) == [1, 1])
    }

    @Test(arguments: ["ttl", "tos", "may fragment", "ports"])
    func baitIsNotTakenInUDP(difference: String) {
        var packet = TestPacket.udp()
        packet.payload = pattern(64)
        var second = packet.next(pattern(64, 1))
        switch difference {
        case "ttl": second.hopLimit -= 1
        case "tos": second.trafficClass = 3
        case "may fragment": second.dontFragment = false
        default: second.sourcePort += 1
        }
        #expect(merge([packet, second]) == [1, 1])
    }

    /// A length in the UDP header that is not the packet's: the rest would be lost in a merged one.
    @Test func aUDPLengthThatLiesIsPassedAsItCame() {
        for lie in [UInt8(71), 73, 0] {
            let rig = ReceiveRig()
            var packet = TestPacket.udp()
            packet.payload = pattern(64)
            rig.process(packet.bytes)
            var liar = packet.next(pattern(64, 1)).bytes
            liar[25] = lie
            rig.process(liar)
            rig.process(packet.next(pattern(64, 2)).next(pattern(64, 2)).bytes)
            let writes = rig.finish()
            #expect(writes.map(\.size) == [0, 0, 0])
            #expect(writes[1].packet[20...] == liar[20...])
        }
    }

    @Test func segmentsInTheWrongOrderStayInIt() {
        let packets = followers(3, of: first)
        #expect(merge([packets[0], packets[2], packets[1], packets[3]]) == [1, 1, 1, 1])
        #expect(merge([packets[1], packets[0], packets[1], packets[2]]) == [1, 3])
    }

    @Test func extensionHeadersAreLeftAlone() {
        let rig = ReceiveRig()
        var packet = TestPacket.v6()
        packet.payload = pattern(900)
        for one in followers(2, of: packet) {
            // Hop-by-hop options of padding alone, then a destination header, then a fragment header.
            for kind in [UInt8(0), 60, 44] {
                var bytes = one.bytes
                bytes.insert(contentsOf: [bytes[6], 0, 1, 4, 0, 0, 0, 0], at: 40)
                bytes[6] = kind
                bytes.replaceSubrange(4..<6, with: UInt16(bytes.count - 40).octets)
                rig.process(bytes)
            }
        }
        let writes = rig.finish()
        #expect(writes.count == 9)
        #expect(writes.allSatisfy { $0.offload.gso_type == 0 })
    }

    @Test func idsMatterWhereFragmentsAreAllowed() {
        var packet = first
        packet.dontFragment = false
        #expect(merge(followers(3, of: packet)) == [4])
        var second = packet.next(pattern(1000))
        second.id &+= 1
        #expect(merge([packet, second]) == [1, 1])
    }

    @Test func fragmentsAndOptionsAreLeftAlone() {
        var fragment = first
        fragment.dontFragment = false
        fragment.fragmentOffset = 0x2000
        let rig = ReceiveRig()
        rig.process(fragment.bytes)
        rig.process(fragment.next(pattern(1000)).bytes)
        var optioned = first
        optioned.ipOptions = [1, 1, 1, 0]
        rig.process(optioned.bytes)
        rig.process(optioned.next(pattern(1000)).bytes)
        let writes = rig.finish()
        #expect(writes.count == 4)
        #expect(writes.allSatisfy { $0.offload.gso_type == 0 })
    }

    @Test func aWrongChecksumIsPassedForTheKernelToJudge() {
        for bad in 0..<3 {
            let rig = ReceiveRig()
            for (index, packet) in followers(2, of: first).enumerated() {
                var bytes = packet.bytes
                if index == bad { bytes[500] ^= 1 }
                rig.process(bytes)
            }
            let writes = rig.finish()
            let wrong = writes.filter { $0.size == 0 && !TakenApart($0.packet).isSound }
            #expect(wrong.count == 1, "segment \(bad)")
            #expect(writes.map { TakenApart($0.packet).payload.count }.reduce(0, +) == 3000)
            #expect(writes.count == (bad == 1 ? 3 : 2))
        }
    }

    @Test func aFlowStaysInOrderAroundWhatCannotBeMerged() {
        let packets = followers(3, of: first)
        let pure = packets[1].next([])
        let finished = packets[3].next([], flags: 0x11)
        let rig = ReceiveRig()
        for packet in [packets[0], packets[1], pure, packets[2], packets[3], finished] { rig.process(packet.bytes) }
        let parts = rig.finish().map { TakenApart($0.packet) }
        #expect(parts.map(\.payload.count) == [2000, 0, 2000, 0])
        #expect(parts.map(\.sequence) == [1000, 3000, 3000, 5000])
    }

    @Test func interleavedFlowsAreMergedEachForItself() {
        let rig = ReceiveRig()
        let flows = (0..<12).map { index in
            var packet = first
            packet.sourcePort += UInt16(index)
            return followers(4, of: packet)
        }
        for round in 0..<5 { for flow in flows.prefix(8) { rig.process(flow[round].bytes) } }
        #expect(rig.finish().map { TakenApart($0.packet).payload.count } == [Int](repeating: 5000, count: 8))
        // With more flows than room none is lost or reordered.
        let crowded = ReceiveRig()
        for round in 0..<5 { for flow in flows { crowded.process(flow[round].bytes) } }
        var next: [UInt16: UInt32] = [:]
        var total = 0
        for write in crowded.finish() {
            let port = UInt16(write.packet[20]) << 8 | UInt16(write.packet[21])
            let part = TakenApart(write.packet)
            #expect(part.sequence == next[port, default: 1000])
            next[port] = part.sequence + UInt32(part.payload.count)
            total += part.payload.count
        }
        #expect(total == 12 * 5000)
    }

    @Test func equalUDPDatagramsBecomeOneWhereTheKernelCutsThemAgain() {
        var packet = TestPacket.udp()
        packet.payload = pattern(64)
        #expect(merge(followers(69, of: packet)) == [64, 6])
        #expect(merge(followers(2, of: packet), mergesUDP: false) == [1, 1, 1])
        let short = packet.next(pattern(20))
        #expect(merge([packet, short, short.next(pattern(64))]) == [2, 1])
        #expect(merge([packet, packet.next(pattern(65))]) == [1, 1])
    }

    @Test func udpWithoutAChecksumStaysAsItIs() {
        var packet = TestPacket.udp()
        packet.payload = pattern(64)
        let rig = ReceiveRig()
        for _ in 0..<2 {
            var bytes = packet.bytes
            bytes[26] = 0
            bytes[27] = 0
            rig.process(bytes)
        }
        #expect(rig.finish().count == 2)
    }
}
