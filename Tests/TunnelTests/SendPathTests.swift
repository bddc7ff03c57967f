import CLinux
import Testing

@testable import Tunnel

@Suite struct SendPathTests {
    private func offload(
        _ packet: TestPacket, type: Int32, size: UInt16, start: Int? = nil, offset: Int? = nil
    ) -> virtio_net_hdr {
        virtio_net_hdr(
            flags: UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM), gso_type: UInt8(type), hdr_len: UInt16(packet.headerLength),
            gso_size: size, csum_start: UInt16(start ?? packet.ipLength),
            csum_offset: UInt16(offset ?? (packet.sequence == nil ? 6 : 16)))
    }

    @Test func aPlainPacketGoesToThePeerOfItsSubnetWithOneLessTTL() throws {
        let rig = SendRig()
        var packet = TestPacket(payload: pattern(100))
        packet.destination = "10.0.3.9"
        rig.process(packet.bytes)
        let message = try #require(rig.finish().messages.first)
        #expect(message.address[4..<8] == [192, 0, 2, 3])
        #expect(message.address[2..<4] == [UInt8(8285 >> 8), UInt8(8285 & 255)])
        packet.hopLimit -= 1
        #expect(message.datagrams == [packet.bytes])
        #expect(rig.total.sentPackets == 1)
        #expect(rig.total.sentBytes == UInt64(packet.bytes.count))
    }

    @Test func aPartialChecksumIsCompleted() throws {
        for kind in [TestPacket(), TestPacket.udp(), TestPacket.v6()] {
            let rig = SendRig()
            var packet = kind
            packet.payload = pattern(333)
            packet.isPartial = true
            rig.process(packet.bytes, offload(packet, type: VIRTIO_NET_HDR_GSO_NONE, size: 0))
            let sent = try #require(rig.finish().datagrams.first)
            #expect(TakenApart(sent).isSound)
            #expect(TakenApart(sent).payload == packet.payload)
        }
    }

    @Test(arguments: [false, true], [1, 2, 1400, 1401, 2800, 60000])
    func aLargeTCPPacketIsCutAsItsSenderWouldHave(isIPv6: Bool, size: Int) throws {
        let rig = SendRig()
        var packet = isIPv6 ? TestPacket.v6() : TestPacket()
        packet.payload = pattern(size)
        packet.flags = 0x10 | 0x08 | 0x80 | 0x01
        packet.id = 0xfffe
        packet.isPartial = true
        let type = isIPv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4
        rig.process(packet.bytes, offload(packet, type: type | VIRTIO_NET_HDR_GSO_ECN, size: 1400))
        let parts = rig.finish().datagrams.map { TakenApart($0) }
        let count = (size + 1399) / 1400
        #expect(parts.count == count)
        #expect(parts.flatMap(\.payload) == packet.payload)
        for (index, part) in parts.enumerated() {
            let isLast = index == count - 1
            #expect(part.isSound)
            #expect(part.hopLimit == packet.hopLimit - 1)
            #expect(part.sequence == 1000 + UInt32(index * 1400))
            #expect(part.payload.count == (isLast ? size - index * 1400 : 1400))
            #expect(part.flags == 0x10 | (isLast ? 0x09 : 0) | (index == 0 ? 0x80 : 0))
            if !isIPv6 { #expect(part.id == 0xfffe &+ UInt16(index)) }
        }
        #expect(rig.total.sentPackets == UInt64(count))
    }

    @Test func aLargeUDPPacketIsCutWithLengthsAndChecksums() throws {
        for kind in [TestPacket.udp(), TestPacket(source: "fd00:1::2", destination: "fd00:2::2", sequence: nil)] {
            let rig = SendRig()
            var packet = kind
            packet.options = []
            packet.payload = pattern(5000)
            packet.isPartial = true
            rig.process(packet.bytes, offload(packet, type: VIRTIO_NET_HDR_GSO_UDP_L4, size: 1200))
            let parts = rig.finish().datagrams.map { TakenApart($0) }
            #expect(parts.map(\.payload.count) == [1200, 1200, 1200, 1200, 200])
            #expect(parts.flatMap(\.payload) == packet.payload)
            #expect(parts.allSatisfy { $0.isSound })
        }
    }

    @Test func segmentsOfOnePeerShareMessagesAsFarAsTheKernelTakesThem() {
        let rig = SendRig()
        var packet = TestPacket(payload: pattern(65000))
        packet.isPartial = true
        rig.process(packet.bytes, offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 500))
        var other = TestPacket(payload: pattern(500))
        other.destination = "10.0.3.1"
        rig.process(other.bytes)
        let messages = rig.finish().messages
        #expect(messages.map(\.datagrams.count) == [64, 64, 2, 1])
        for message in messages {
            let sizes = message.datagrams.map(\.count)
            #expect(sizes.dropLast().allSatisfy { $0 == sizes[0] })
            #expect(sizes.reduce(0, +) <= 65507)
        }
    }

    @Test func aLargeMessageStaysBelowTheLargestDatagram() {
        let rig = SendRig()
        var packet = TestPacket(payload: pattern(65000))
        packet.isPartial = true
        rig.process(packet.bytes, offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 1420))
        let messages = rig.finish().messages
        #expect(messages.map(\.datagrams.count) == [44, 2])
    }

    @Test func withoutSegmentationEachDatagramIsAMessageOfItsOwn() {
        let rig = SendRig(canSegment: false)
        var packet = TestPacket(payload: pattern(65000))
        packet.isPartial = true
        rig.process(packet.bytes, offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 100))
        let result = rig.finish()
        #expect(result.messages.count == 650)
        #expect(result.messages.allSatisfy { $0.datagrams.count == 1 })
        #expect(result.datagrams.map { TakenApart($0) }.flatMap(\.payload) == packet.payload)
    }

    @Test func smallPacketsOfOneSizeTravelTogether() {
        let rig = SendRig()
        let packets = (0..<100).map { index in
            var packet = TestPacket.udp()
            packet.id = UInt16(index)
            packet.payload = pattern(index == 70 ? 30 : 64, index)
            return packet
        }
        for packet in packets { rig.process(packet.bytes) }
        let result = rig.finish()
        #expect(result.messages.map(\.datagrams.count) == [64, 7, 29])
        #expect(result.datagrams.map { TakenApart($0).payload } == packets.map(\.payload))
    }

    @Test func nobodysDestinationIsRejected() {
        let rig = SendRig()
        var packet = TestPacket()
        packet.destination = "10.0.9.9"
        rig.process(packet.bytes)
        packet.destination = "224.0.0.251"
        rig.process(packet.bytes)
        let result = rig.finish()
        #expect(result.messages.isEmpty)
        #expect(result.rejections == [.noNextHop])
        #expect(rig.total.dropped == [.noNextHop: 1, .multicast: 1])
    }

    @Test func aHostsOwnSubnetIsNoDestination() {
        let rig = SendRig()
        let table = NextHopTable(SendRig.hops, local: [SendRig.hops[0].prefix])
        rig.path.process(rig.memory.place(TestPacket().bytes), virtio_net_hdr(), table.view)
        #expect(rig.finish().messages.isEmpty)
        #expect(rig.total.dropped == [.noNextHop: 1])
    }

    @Test(arguments: [UInt8(0), 1])
    func aSpentTTLIsRejected(ttl: UInt8) {
        for kind in [TestPacket(), TestPacket.v6()] {
            let rig = SendRig()
            var packet = kind
            packet.hopLimit = ttl
            rig.process(packet.bytes)
            #expect(rig.finish().rejections == [.hopLimit])
            #expect(rig.total.dropped == [.hopLimit: 1])
        }
    }

    @Test func absurdOffloadsAreDropped() {
        let rig = SendRig()
        var packet = TestPacket(payload: pattern(3000))
        packet.isPartial = true
        let absurd = [
            offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV6, size: 1000),
            offload(packet, type: VIRTIO_NET_HDR_GSO_UDP_L4, size: 1000),
            offload(packet, type: VIRTIO_NET_HDR_GSO_UDP, size: 1000),
            offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 0),
            offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 65500),
            offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 1000, start: 21),
            offload(packet, type: VIRTIO_NET_HDR_GSO_NONE, size: 0, start: 4000),
            offload(packet, type: VIRTIO_NET_HDR_GSO_NONE, size: 0, start: 3051, offset: 0),
            offload(packet, type: VIRTIO_NET_HDR_GSO_NONE, size: 0, start: 0, offset: 0),
            offload(packet, type: VIRTIO_NET_HDR_GSO_NONE, size: 0, start: 65535, offset: 65535),
        ]
        for header in absurd { rig.process(packet.bytes, header) }
        packet.payload = []
        rig.process(packet.bytes, offload(packet, type: VIRTIO_NET_HDR_GSO_TCPV4, size: 1000))
        #expect(rig.finish().messages.isEmpty)
        #expect(rig.total.dropped == [.badOffload: UInt64(absurd.count + 1)])
    }

    @Test func oneBadPacketHarmsNoOther() {
        let rig = SendRig()
        rig.process(TestPacket(payload: pattern(50)).bytes)
        rig.process([])
        rig.process([0x45])
        rig.process([UInt8](repeating: 0, count: 40))
        rig.process([0x44] + TestPacket().bytes.dropFirst())
        rig.process(Array(TestPacket(payload: pattern(50)).bytes.dropLast()))
        rig.process(Array(TestPacket.v6().bytes.prefix(39)))
        rig.process(TestPacket(payload: pattern(60)).bytes)
        #expect(rig.finish().datagrams.map { TakenApart($0).payload.count } == [50, 60])
        #expect(rig.total.dropped == [.truncated: 4, .malformed: 2])
    }
}
