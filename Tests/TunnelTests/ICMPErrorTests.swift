import Testing

@testable import Tunnel

@Suite struct ICMPErrorTests {
    let memory = TestMemory()

    private func isAllowed(_ bytes: [UInt8]) throws -> Bool {
        let packet = memory.place(bytes)
        return ICMPError.isAllowed(packet, try InnerHeader(packet))
    }

    private func icmp(type: UInt8) -> [UInt8] {
        var bytes = TestPacket.udp().bytes
        bytes[9] = 1
        bytes[20] = type
        return bytes
    }

    @Test func netUnreachableQuotesThePacket() throws {
        let packet = memory.place(TestPacket(payload: pattern(1000)).bytes)
        let buffer = memory.place([UInt8](repeating: 0xaa, count: ICMPError.limit))
        let length = ICMPError.write(
            about: packet, try InnerHeader(packet), .noNextHop, from: memory.place([10, 0, 1, 0]), to: buffer)
        let message = buffer.slice(0, length).array
        #expect(length == 576)
        #expect(plainSum(Array(message[..<20])) == 0xffff)
        #expect(plainSum(Array(message[20...])) == 0xffff)
        #expect(message[12..<20] == [10, 0, 1, 0, 10, 0, 1, 2])
        #expect(message[9] == 1)
        #expect(message[20..<22] == [3, 0])
        #expect(Array(message[28...]) == packet.slice(0, 548).array)
    }

    @Test func hopLimitExceededInBothFamilies() throws {
        let buffer = memory.place([UInt8](repeating: 0xaa, count: ICMPError.limit))
        let v4 = memory.place(TestPacket().bytes)
        var length = ICMPError.write(
            about: v4, try InnerHeader(v4), .hopLimit, from: memory.place([10, 0, 1, 0]), to: buffer)
        #expect(buffer.slice(20, 2).array == [11, 0])
        #expect(length == 28 + v4.count)
        let v6 = memory.place(TestPacket(source: "fd00:1::2", destination: "fd00:2::2", payload: pattern(3000)).bytes)
        let source = [UInt8](repeating: 7, count: 16)
        length = ICMPError.write(about: v6, try InnerHeader(v6), .hopLimit, from: memory.place(source), to: buffer)
        let message = buffer.slice(0, length).array
        #expect(length == 1280)
        #expect(message[40..<42] == [3, 0])
        #expect(Array(message[8..<24]) == source)
        #expect(Array(message[24..<40]) == v6.slice(8, 16).array)
        let pseudo = Array(message[8..<40]) + UInt32(length - 40).octets + [0, 0, 0, 58]
        #expect(plainSum(pseudo + message[40...]) == 0xffff)
    }

    @Test func nobodyIsToldAboutErrorsFragmentsAndGroups() throws {
        #expect(try isAllowed(TestPacket().bytes))
        #expect(try isAllowed(TestPacket.v6().bytes))
        #expect(try isAllowed(icmp(type: 8)))
        #expect(try !isAllowed(icmp(type: 3)))
        #expect(try !isAllowed(icmp(type: 11)))
        #expect(try !isAllowed(icmp(type: 200)))
        #expect(try !isAllowed(TestPacket(dontFragment: false, fragmentOffset: 10).bytes))
        #expect(try isAllowed(TestPacket(dontFragment: false, fragmentOffset: 0x2000).bytes))
        for source in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
            #expect(try !isAllowed(TestPacket(source: source).bytes), "\(source)")
        }
        #expect(try !isAllowed(TestPacket(destination: "239.1.1.1").bytes))
        #expect(try !isAllowed(TestPacket(source: "::", destination: "fd00::1").bytes))
        #expect(try !isAllowed(TestPacket(source: "fd00::1", destination: "ff02::1").bytes))
    }
}
