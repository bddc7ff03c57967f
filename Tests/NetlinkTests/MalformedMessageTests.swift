import Netlink
import Testing

/// Whatever the bytes, decoding gives a value or throws; it never traps or loops.
@Suite struct MalformedMessageTests {
    static func message(type: UInt16, _ payload: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = UInt32(length ?? payload.count + 16)
        return (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
            + [UInt8(truncatingIfNeeded: type), UInt8(type >> 8)] + [UInt8](repeating: 0, count: 10) + payload
    }

    /// The header of a route message: IPv4, /24.
    static let route: [UInt8] = [2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]

    @Test(
        arguments: [
            ("length below the header", message(type: 24, route, length: 15)),
            ("length of zero", message(type: 24, route, length: 0)),
            ("length over the datagram", message(type: 24, route, length: 100)),
            ("half a header", [UInt8](repeating: 0, count: 7)),
            ("half a route", message(type: 24, [2, 24, 0, 0])),
            ("attribute of length zero", message(type: 24, route + [0, 0, 1, 0])),
            ("attribute of length 3", message(type: 24, route + [3, 0, 1, 0])),
            ("attribute over the message", message(type: 24, route + [12, 0, 1, 0, 10, 0, 0, 0])),
            ("half an attribute header", message(type: 24, route + [8, 0])),
            ("address of 3 bytes", message(type: 24, route + [7, 0, 1, 0, 10, 0, 0, 0])),
            (
                "address of the other family",
                message(type: 24, route + [20, 0, 1, 0] + [UInt8](repeating: 1, count: 16))
            ),
            ("prefix of 33 bits", message(type: 24, [2, 33] + route[2...] + [8, 0, 1, 0, 10, 0, 0, 0])),
            ("length without address", message(type: 24, route)),
            ("multipath of length zero", message(type: 24, route + [12, 0, 9, 0] + [0, 0, 0, 0, 0, 0, 0, 0])),
            ("multipath over its end", message(type: 24, route + [12, 0, 9, 0] + [60, 0, 0, 0, 0, 0, 0, 0])),
            ("metrics nested wrongly", message(type: 24, route + [8, 0, 8, 0, 0, 0, 0, 0])),
            ("neighbour without address", message(type: 28, [2] + [UInt8](repeating: 0, count: 11))),
            ("address without address", message(type: 20, [2, 24, 0, 0, 1, 0, 0, 0])),
        ] as [(String, [UInt8])])
    func isRefused(_ name: String, _ bytes: [UInt8]) {
        #expect(throws: MalformedMessage.self) { try NetlinkEvent.decode(datagram: bytes) }
    }

    @Test(arguments: Capture.all.indices) func everyTruncation(_ index: Int) {
        let bytes = Capture.all[index].bytes
        for end in 0..<bytes.count { _ = try? NetlinkEvent.decode(datagram: Array(bytes[..<end])) }
    }

    /// Changes bytes at random, the same ones on every run.
    @Test func mutations() {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        func random(_ limit: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(limit))
        }
        for _ in 0..<20_000 {
            var bytes = Capture.all[random(Capture.all.count)].bytes
            for _ in 0...random(4) { bytes[random(bytes.count)] = UInt8(random(256)) }
            _ = try? NetlinkEvent.decode(datagram: bytes)
        }
    }

    @Test func aNameThatIsNoTextCountsStill() throws {
        var header = [UInt8](repeating: 0, count: 16)
        header[4] = 9
        let events = try NetlinkEvent.decode(
            datagram: Self.message(
                type: 16,
                header + [8, 0, 3, 0, 0xff, 0xff, 0xff, 0] + [17, 0, 3, 0] + [UInt8](repeating: 0xff, count: 12) + [
                    0, 0, 0, 0,
                ]))
        guard case .linkChanged(let link) = events.first else {
            Issue.record("\(events)")
            return
        }
        #expect(link.index == 9 && link.name.text == "?9")
    }

    @Test func anAnswerNamesTheRemedy() {
        let refusal = KernelRefusal(code: 1, message: nil, offset: 24, subject: "add route")
        #expect(refusal.description.contains("CAP_NET_ADMIN") && refusal.description.contains("byte 24"))
    }
}
