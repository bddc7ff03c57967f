import CLinux
import Glibc
import IPNetwork
import LinuxSystem
import Testing
import Tunnel

@Suite(.needsRoot, .serialized) struct TunnelKernelTests {
    let lab: TwoHosts

    init() throws { lab = try TwoHosts() }

    private func stop(_ tunnels: [Tunnel]) async { for tunnel in tunnels { await tunnel.stop() } }

    private func stream(_ isIPv6: Bool = false) throws -> Stream {
        try Stream(
            from: lab.containers[0], isIPv6 ? "fd00:1::2" : "10.0.1.2", to: lab.containers[1],
            isIPv6 ? "fd00:2::2" : "10.0.2.2")
    }

    /// Everything on, each ability off, and everything off.
    static let offloads: [TunnelOffloads] = [
        .all, .all.subtracting(.virtioHeader), .all.subtracting(.tcpSegmentation), .all.subtracting(.udpSegmentation),
        .all.subtracting(.datagramSegmentation), .all.subtracting(.datagramMerging), [],
    ]

    @Test(arguments: offloads)
    func streamsArriveWithEveryFallback(offloads: TunnelOffloads) async throws {
        let tunnels = try lab.start(offloads: offloads)
        #expect(tunnels[0].offloads.isSubset(of: offloads))
        for isIPv6 in [false, true] {
            var stream = try stream(isIPv6)
            try stream.transfer(16 << 20)
        }
        await stop(tunnels)
        // Read once nothing is under way any more.
        let sent = tunnels[0].counters
        let received = tunnels[1].counters
        #expect(sent.sentPackets >= (32 << 20) / 1400)
        #expect(received.dropped.filter { $0.key != .multicast && $0.key != .noNextHop }.isEmpty)
        // Each ability shows in the counters.
        if tunnels[0].offloads.isSuperset(of: [.tcpSegmentation, .datagramSegmentation]) {
            #expect(sent.sentMessages * 4 < sent.sentPackets)
        } else if !tunnels[0].offloads.contains(.datagramSegmentation) {
            #expect(sent.sentMessages == sent.sentPackets)
        }
        if tunnels[1].offloads.contains(.virtioHeader), tunnels[0].offloads.contains(.tcpSegmentation) {
            #expect(received.tunWrites * 4 < received.receivedPackets)
        }
        if !tunnels[1].offloads.contains(.virtioHeader) {
            #expect(received.tunWrites == received.receivedPackets)
        }
        if !tunnels[1].offloads.contains(.datagramMerging) {
            #expect(received.receivedMessages >= received.receivedPackets)
        }
    }

    @Test func theOuterPacketsMayBeIPv6() async throws {
        let tunnels = try lab.start(overIPv6: true)
        for isIPv6 in [false, true] {
            var stream = try stream(isIPv6)
            try stream.transfer(8 << 20)
        }
        #expect(tunnels[0].counters.sentPackets > 0)
        await stop(tunnels)
    }

    @Test func severalQueuesShareTheDevice() async throws {
        let tunnels = try lab.start(queues: 2)
        #expect(tunnels.map(\.queueCount) == [2, 2])
        var stream = try stream()
        try stream.transfer(8 << 20)
        await stop(tunnels)
        // A device made for several is used with one, and the other way round.
        let again = try lab.start(1, lab.configuration(1), lab.table(1))
        #expect(again.queueCount == 1)
        await again.stop()
        try run("ip -n \(lab.hosts[0]) link del flannel0")
        await (try lab.start(1, lab.configuration(1), lab.table(1))).stop()
        let single = try lab.start(1, lab.configuration(1, queues: 4), lab.table(1))
        #expect(single.queueCount == 1)
        await single.stop()
    }

    /// Datagrams over the path's MTU have to go as fragments, which UDP_SEGMENT refuses to make.
    @Test func aPathThatIsTooNarrowForSegmentationIsUsedWithout() async throws {
        let tunnels = try lab.start()
        try run("ip -n \(lab.hosts[0]) route add 192.0.2.2/32 dev eth0 mtu 1000")
        var stream = try stream()
        try stream.transfer(4 << 20)
        await stop(tunnels)
        #expect(tunnels[0].counters.dropped[.sendFailed] == nil)
        #expect(tunnels[0].counters.sentPackets >= (4 << 20) / 1400)
    }

    /// An interface that completes no checksums: older kernels refuse UDP_SEGMENT there with EIO.
    @Test func anInterfaceWithoutOffloadsIsUsed() async throws {
        let tunnels = try lab.start()
        for host in lab.hosts { try turnChecksumsOff(NetworkNamespace(named: host)) }
        var stream = try stream()
        try stream.transfer(4 << 20)
        await stop(tunnels)
        #expect(tunnels[0].counters.dropped[.sendFailed] == nil)
    }

    /// As `ethtool -K eth0 tx off`.
    private func turnChecksumsOff(_ namespace: NetworkNamespace) throws {
        try namespace.run {
            let handle = OwnedDescriptor(owning: socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0))
            var value = ethtool_value(cmd: UInt32(ETHTOOL_STXCSUM), data: 0)
            var request = ifreq()
            try withUnsafeMutablePointer(to: &value) { pointer in
                request.ifr_ifru.ifru_data = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: CChar.self)
                withUnsafeMutableBytes(of: &request) { $0.copyBytes(from: "eth0".utf8) }
                try systemCall("ioctl") { ioctl(handle.rawValue, UInt(SIOCETHTOOL), &request) }
            }
        }
    }

    @Test func datagramsOfEverySizeArrive() async throws {
        let tunnels = try lab.start()
        let client = try Peer(lab.containers[0], "10.0.1.2", port: 0, stream: false)
        let server = try Peer(lab.containers[1], "10.0.2.2", port: 7001, stream: false)
        try client.connect("10.0.2.2", port: 7001)
        for size in [0, 1, 2, 63, 64, 65, 1371, 1372, 1373, 2744, 9000, 32768, 65506, 65507] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8 ^ size) }
            try client.send(bytes)
            #expect(try server.receive() == bytes, "\(size) bytes")
        }
        await stop(tunnels)
    }

    @Test func manySmallDatagramsKeepTheirBoundariesAndOrder() async throws {
        let tunnels = try lab.start()
        let client = try Peer(lab.containers[0], "10.0.1.2", port: 0, stream: false)
        let server = try Peer(lab.containers[1], "10.0.2.2", port: 7001, stream: false)
        try client.connect("10.0.2.2", port: 7001)
        for round in 0..<100 {
            let batch = (0..<40).map { index in
                [UInt8](repeating: UInt8(index), count: 20 + (index + round) % 3 * 20) + [UInt8(round)]
            }
            for bytes in batch { try client.send(bytes) }
            for bytes in batch { #expect(try server.receive() == bytes) }
        }
        await stop(tunnels)
    }

    @Test func aStreamSurvivesARestartAndTheDeviceStays() async throws {
        var tunnels = try lab.start()
        let namespace = NetworkNamespace(named: lab.hosts[0])
        let index = { try namespace.run { if_nametoindex("flannel0") } }
        let before = try index()
        var stream = try stream()
        try stream.transfer(1 << 20)
        for _ in 0..<3 {
            await tunnels[0].stop()
            #expect(try index() == before)
            // Address, routes and state of the device must have stayed.
            tunnels[0] = try lab.attach(1, lab.configuration(1), lab.table(1))
            try stream.transfer(1 << 20)
        }
        await stop(tunnels)
    }

    @Test func aDeletedDeviceEndsTheTunnelAndANewOneMakesItAgain() async throws {
        let tunnels = try lab.start()
        try run("ip -n \(lab.hosts[0]) link del flannel0")
        let end = await tunnels[0].end()
        #expect(end == .deviceLost)
        let again = try lab.start(1, lab.configuration(1), lab.table(1))
        var stream = try stream()
        try stream.transfer(1 << 20)
        await stop([again, tunnels[1]])
        #expect(await again.end() == .stopped)
    }

    @Test func aCancelledTaskStopsItsTunnel() async throws {
        let tunnel = try lab.start(1, lab.configuration(1), lab.table(1))
        let task = Task { await tunnel.end() }
        task.cancel()
        #expect(await task.value == .stopped)
    }

    @Test func tunnelsComeAndGoWithoutLeavingDescriptors() async throws {
        func descriptors() -> Int { (0..<1024).filter { fcntl(CInt($0), F_GETFD) >= 0 }.count }
        await (try lab.start(1, lab.configuration(1), lab.table(1))).stop()
        // Each time the port and the device are free again at once.
        let before = descriptors()
        for _ in 0..<100 { await (try lab.attach(1, lab.configuration(1), lab.table(1))).stop() }
        // The stop event goes with the last thread. Other tests open and close descriptors meanwhile, but not 50.
        for _ in 0..<1000 where descriptors() > before { usleep(10_000) }
        #expect(descriptors() < before + 50)
    }

    @Test func whatIsInTheWayIsNamed() async throws {
        let tunnel = try lab.start(1, lab.configuration(1), lab.table(1))
        let namespace = NetworkNamespace(named: lab.hosts[0])
        let configuration = try lab.configuration(1)
        let refusal = { (configuration: TunnelConfiguration) in
            do {
                _ = try namespace.run { try Tunnel(configuration) }
                return "started"
            } catch {
                return "\(error)"
            }
        }
        #expect(refusal(configuration).contains("TUN device flannel0: ioctl TUNSETIFF flannel0"))
        var other = configuration
        other.device = try #require(InterfaceName("other0"))
        #expect(refusal(other).contains("UDP socket on 192.0.2.1 port 8285: bind"))
        other.device = try #require(InterfaceName("eth0"))
        #expect(refusal(other).contains("TUN device eth0"))
        other.endpoints = [try #require(IPAddress("192.0.2.77"))]
        other.device = try #require(InterfaceName("other0"))
        #expect(refusal(other).contains("no interface has the address"))
        other.endpoints = []
        #expect(refusal(other).contains("endpoints has []"))
        await tunnel.stop()
    }
}
