import Testing

@testable import Tunnel

@Suite struct InternetChecksumTests {
    let memory = TestMemory()

    /// The sum in network order.
    private func sum(_ bytes: PacketBytes) -> UInt16 {
        UInt16(bigEndian: InternetChecksum.fold(InternetChecksum.sum(bytes)))
    }

    @Test func agreesWithThePlainSumAtEveryLengthAndAlignment() {
        let bytes = memory.place(pattern(400, 3))
        for start in 0..<4 {
            for length in 0...(390) {
                let part = bytes.slice(start, length)
                #expect(sum(part) == plainSum(part.array), "\(length) bytes at \(start)")
            }
        }
    }

    @Test func carriesAllTheWayInTheLargestPacket() {
        let bytes = memory.place([UInt8](repeating: 0xff, count: 65535))
        #expect(sum(bytes) == plainSum(bytes.array))
        let mixed = memory.place(pattern(65534, 9))
        #expect(sum(mixed) == plainSum(mixed.array))
    }

    @Test(arguments: [UInt8](2...255))
    func ttlGoesDownAndTheHeaderStaysRight(ttl: UInt8) {
        for id in [UInt16(0), 1, 0x1234, 0xfffe, 0xffff] {
            var packet = TestPacket()
            packet.hopLimit = ttl
            packet.id = id
            let bytes = memory.place(packet.bytes)
            bytes.decrementHopLimit(isIPv6: false)
            #expect(bytes.byte(8) == ttl - 1)
            #expect(plainSum(bytes.slice(0, 20).array) == 0xffff)
        }
    }
}
