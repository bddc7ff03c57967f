import Glibc
import IPNetwork
import LinuxSystem
import Testing
import Tunnel

@Suite(.needsRoot, .serialized) struct ErrorsAndChecksTests {
    let lab: TwoHosts

    init() throws { lab = try TwoHosts() }

    /// Sends from container 1 until the kernel reports an ICMP error, at most a hundred times.
    private func error(to destination: String, hopLimit: CInt? = nil) throws -> CInt {
        let isIPv6 = destination.contains(":")
        let client = try Peer(lab.containers[0], isIPv6 ? "fd00:1::2" : "10.0.1.2", port: 0, stream: false)
        try client.connect(destination, port: 7002)
        var on: CInt = 1
        let level = CInt(isIPv6 ? IPPROTO_IPV6 : IPPROTO_IP)
        setsockopt(client.raw, level, isIPv6 ? IPV6_RECVERR : IP_RECVERR, &on, socklen_t(MemoryLayout<CInt>.size))
        if var hopLimit {
            setsockopt(
                client.raw, level, isIPv6 ? IPV6_UNICAST_HOPS : IP_TTL, &hopLimit, socklen_t(MemoryLayout<CInt>.size))
        }
        for _ in 0..<100 {
            var byte: UInt8 = 1
            if send(client.raw, &byte, 1, 0) < 0 { return errno }
            var entry = pollfd(fd: client.raw, events: 0, revents: 0)
            poll(&entry, 1, 100)
            var code: CInt = 0
            var length = socklen_t(MemoryLayout<CInt>.size)
            getsockopt(client.raw, SOL_SOCKET, SO_ERROR, &code, &length)
            if code != 0 { return code }
        }
        return 0
    }

    @Test func theSourceLearnsThatNobodyHasTheDestination() async throws {
        let tunnel = try lab.start(1, lab.configuration(1), lab.table(1))
        #expect(try error(to: "10.0.9.9") == ENETUNREACH)
        #expect(try error(to: "fd00:9::9") == ENETUNREACH)
        #expect(tunnel.counters.icmpSent > 0)
        #expect(tunnel.counters.dropped[.noNextHop, default: 0] > 0)
        // Nobody listens there: once the peer is known, its container answers.
        let other = try lab.start(2, lab.configuration(2), lab.table(2))
        #expect(try error(to: "10.0.2.2") == ECONNREFUSED)
        tunnel.setNextHops(NextHopTable())
        #expect(try error(to: "10.0.2.2") == ENETUNREACH)
        tunnel.setNextHops(try lab.table(1))
        #expect(try error(to: "10.0.2.2") == ECONNREFUSED)
        await tunnel.stop()
        await other.stop()
    }

    /// Host 1 routes, tunnel 1, tunnel 2, host 2 routes: a packet with a TTL of 1 to 4 ends at each.
    @Test(arguments: ["10.0.2.2", "fd00:2::2"])
    func eachSideIsAHop(destination: String) async throws {
        let tunnels = [
            try lab.start(1, lab.configuration(1), lab.table(1)), try lab.start(2, lab.configuration(2), lab.table(2)),
        ]
        for hopLimit in CInt(1)...4 { #expect(try error(to: destination, hopLimit: hopLimit) == EHOSTUNREACH) }
        #expect(try error(to: destination, hopLimit: 5) == ECONNREFUSED)
        #expect(tunnels.map { $0.counters.icmpSent } == [1, 1])
        for tunnel in tunnels { await tunnel.stop() }
    }

    @Test func strangersAndForeignSourcesAreCounted() async throws {
        let tunnel = try lab.start(1, lab.configuration(1), lab.table(1))
        try run("ip -n \(lab.hosts[1]) addr add 192.0.2.66/24 dev eth0")
        let stranger = try Peer(lab.hosts[1], "192.0.2.66", port: 8285, stream: false)
        let peer = try Peer(lab.hosts[1], "192.0.2.2", port: 8285, stream: false)
        try stranger.connect("192.0.2.1", port: 8285)
        try peer.connect("192.0.2.1", port: 8285)
        let packet = echo(from: [10, 0, 2, 2], to: [10, 0, 1, 2])
        try stranger.send(packet)
        try peer.send(echo(from: [10, 0, 3, 2], to: [10, 0, 1, 2]))
        try peer.send(echo(from: [10, 0, 2, 2], to: [192, 0, 2, 1]))
        try peer.send([1, 2, 3])
        try peer.send([])
        try peer.send(packet)
        try await eventually { tunnel.counters.receivedPackets == 1 && tunnel.counters.receivedMessages == 6 }
        let expected: [DropReason: UInt64] = [
            .unknownPeer: 1, .sourceNotOwned: 1, .destinationNotOurs: 1, .truncated: 2,
        ]
        #expect(tunnel.counters.dropped.filter { expected.keys.contains($0.key) } == expected)
        await tunnel.stop()
    }

    private func echo(from source: [UInt8], to destination: [UInt8]) -> [UInt8] {
        func sum(_ bytes: [UInt8]) -> [UInt8] {
            var sum = stride(from: 0, to: bytes.count, by: 2).reduce(0) {
                $0 + Int(bytes[$1]) << 8 + Int(bytes[$1 + 1])
            }
            while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
            return [UInt8(~sum >> 8 & 255), UInt8(~sum & 255)]
        }
        var header: [UInt8] = [0x45, 0, 0, 28, 0, 1, 0, 0, 60, 1, 0, 0] + source + destination
        header.replaceSubrange(10..<12, with: sum(header))
        var message: [UInt8] = [8, 0, 0, 0, 0, 1, 0, 1]
        message.replaceSubrange(2..<4, with: sum(message))
        return header + message
    }

    private func eventually(_ condition: () -> Bool) async throws {
        for _ in 0..<1000 {
            if condition() { return }
            usleep(10_000)
        }
        Issue.record("it did not come true in ten seconds")
    }
}
