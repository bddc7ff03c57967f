import CLinux
import IPNetwork
import Testing

@testable import Tunnel

@Suite struct ReceivePathTests {
    @Test func aPlainPacketIsWrittenWithOneLessTTLAndNothingElseChanged() {
        for check in SourceCheck.allCases {
            let rig = ReceiveRig(check: check)
            var packet = TestPacket(flags: 0x02, payload: [])
            rig.process(packet.bytes, port: 40000)
            packet.hopLimit -= 1
            let writes = rig.finish()
            #expect(writes.map(\.packet) == [packet.bytes])
            #expect(writes.allSatisfy { $0.offload.gso_type == 0 && $0.offload.flags == 0 })
        }
    }

    @Test func bytesBeyondTheInnerLengthAreLeftOff() {
        let rig = ReceiveRig()
        var packet = TestPacket(flags: 0x02)
        rig.process(packet.bytes + [1, 2, 3])
        packet.hopLimit -= 1
        #expect(rig.finish().map(\.packet) == [packet.bytes])
    }

    @Test func aMessageOfManyDatagramsIsTakenApart() {
        let rig = ReceiveRig(mergesUDP: false)
        let packets = (0..<5).map { index in
            var packet = TestPacket.udp()
            packet.payload = pattern(index == 4 ? 20 : 100, index)
            return packet
        }
        rig.process(packets.flatMap(\.bytes), segmentSize: packets[0].bytes.count)
        #expect(rig.finish().map { TakenApart($0.packet).payload } == packets.map(\.payload))
        #expect(rig.total.receivedPackets == 5)
    }

    @Test func aBadDatagramInAMessageHarmsNoOther() {
        let rig = ReceiveRig(mergesUDP: false)
        var packets = (0..<4).map { index in
            var packet = TestPacket.udp()
            packet.payload = pattern(100, index)
            return packet.bytes
        }
        packets[1][0] = 0x41
        packets[2][9] = 200
        rig.process(packets.flatMap { $0 }, segmentSize: packets[0].count)
        #expect(rig.finish().count == 2)
        #expect(rig.total.dropped == [.malformed: 1, .badHeaderChecksum: 1])
    }

    @Test func absurdHeadersAreDroppedAndCounted() {
        let rig = ReceiveRig()
        let good = TestPacket(payload: pattern(50)).bytes
        rig.process([])
        for length in 0..<5 { rig.process([0x40 | UInt8(length)] + good.dropFirst()) }
        rig.process(Array(good.prefix(19)))
        rig.process(Array(good.dropLast()))
        rig.process([0x35] + good.dropFirst())
        var short = good
        short[2] = 0
        short[3] = 19
        rig.process(short)
        rig.process(Array(TestPacket.v6().bytes.dropLast()))
        #expect(rig.finish().isEmpty)
        #expect(rig.total.dropped == [.malformed: 7, .truncated: 4])
    }

    @Test func onlyPeersMaySendAndOnlyFromTheirSubnets() {
        let rig = ReceiveRig()
        let packet = TestPacket(flags: 0x02)
        rig.process(packet.bytes, from: "192.0.2.99")
        rig.process(packet.bytes, from: "2001:db8::99")
        // A peer's, but not the one that owns the source; nobody's source; this host's own source.
        rig.process(packet.bytes, from: "192.0.2.3")
        rig.process(TestPacket(source: "10.0.7.1", flags: 0x02).bytes)
        rig.process(TestPacket(source: "10.0.2.7", flags: 0x02).bytes)
        rig.process(TestPacket(source: "fd00:4::1", destination: "fd00:2::1", flags: 0x02).bytes)
        #expect(rig.finish().isEmpty)
        #expect(rig.total.dropped == [.unknownPeer: 2, .sourceNotOwned: 4])
        rig.process(TestPacket(source: "fd00:4::1", destination: "fd00:2::1", flags: 0x02).bytes, from: "2001:db8::4")
        #expect(rig.finish().count == 1)
    }

    @Test func otherAddressesOfThisHostAreNotReached() {
        for check in [SourceCheck.peers, .peersAndSubnets] {
            let rig = ReceiveRig(check: check)
            for destination in ["127.0.0.1", "192.0.2.2", "10.0.3.1", "224.0.0.1", "255.255.255.255"] {
                rig.process(TestPacket(destination: destination, flags: 0x02).bytes)
            }
            rig.process(TestPacket(source: "fd00:1::2", destination: "::1", flags: 0x02).bytes)
            #expect(rig.finish().isEmpty)
            #expect(rig.total.dropped == [.destinationNotOurs: 6])
        }
    }

    @Test func peersAloneMaySendFromAnywhereWhenSubnetsAreNotChecked() {
        let rig = ReceiveRig(check: .peers)
        rig.process(TestPacket(source: "198.51.100.1", flags: 0x02).bytes)
        rig.process(TestPacket(source: "198.51.100.1", flags: 0x02).bytes, from: "192.0.2.99")
        #expect(rig.finish().count == 1)
        #expect(rig.total.dropped == [.unknownPeer: 1])
    }

    @Test func withoutTheCheckAnybodyMaySend() {
        let rig = ReceiveRig(check: .none)
        rig.process(
            TestPacket(source: "198.51.100.1", destination: "198.51.100.2", flags: 0x02).bytes, from: "192.0.2.99")
        #expect(rig.finish().count == 1)
        #expect(rig.total.dropped.isEmpty)
    }

    @Test(arguments: [UInt8(0), 1])
    func aSpentTTLIsRejected(ttl: UInt8) {
        let rig = ReceiveRig()
        rig.process(TestPacket(hopLimit: ttl).bytes)
        #expect(rig.finish().isEmpty)
        #expect(rig.path.sink.rejections == [.hopLimit])
        #expect(rig.total.dropped == [.hopLimit: 1])
    }

    @Test func withoutAVirtioHeaderPacketsAreWrittenBare() {
        let rig = ReceiveRig(hasOffloadHeader: false)
        let first = TestPacket(payload: pattern(100))
        rig.process(first.bytes)
        rig.process(first.next(pattern(100)).bytes)
        let writes = rig.finish()
        #expect(writes.map { TakenApart($0.packet).payload.count } == [100, 100])
        #expect(writes.allSatisfy { TakenApart($0.packet).isSound })
    }

    @Test func aRefusedWriteIsCounted() {
        let rig = ReceiveRig()
        rig.path.sink.result = .failed
        let first = TestPacket(payload: pattern(100))
        rig.process(first.bytes)
        rig.process(first.next(pattern(100)).bytes)
        rig.process(TestPacket(flags: 0x02).bytes)
        _ = rig.finish()
        #expect(rig.total.dropped == [.writeFailed: 3])
    }

    @Test func aKernelThatRefusesLargeUDPPacketsGetsSmallOnes() {
        let rig = ReceiveRig()
        rig.path.sink.result = .unsupported
        var packet = TestPacket.udp()
        packet.payload = pattern(64)
        for _ in 0..<2 { rig.process(packet.bytes) }
        _ = rig.finish()
        rig.path.sink = RecordingPackets()
        for _ in 0..<2 { rig.process(packet.bytes) }
        #expect(rig.finish().count == 2)
    }
}
