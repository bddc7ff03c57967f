import IPNetwork
import KernelState
import LinuxSystem
import Operations
import Testing
import Tunnel

@testable import WeftDaemon

/// What one process leaves to the next.
@Suite struct TunnelRecordTests {
    static let record = TunnelRecord(
        boot: "3c5a", registry: "http://172.30.0.1:2379 /coreos.com/network",
        spec: TunnelSpec(
            device: InterfaceName("flannel0")!, endpoints: [IPAddress("172.30.0.11")!, IPAddress("2001:db8::11")!],
            port: 8285, addresses: [IPAddress("10.5.19.0")!, IPAddress("fd00:10:0:19::")!],
            ownSubnets: [IPPrefix("10.5.19.0/24")!, IPPrefix("fd00:10:0:19::/64")!], checksPeers: true),
        nextHops: [
            IPPrefix("10.5.34.0/24")!: IPAddress("172.30.0.12")!,
            IPPrefix("fd00:10:0:34::/64")!: IPAddress("2001:db8::12")!,
        ])

    @Test func whatIsWrittenIsRead() {
        #expect(TunnelRecord(Self.record.text) == Self.record)
        var alone = Self.record
        alone.nextHops = [:]
        alone.spec.checksPeers = false
        #expect(TunnelRecord(alone.text) == alone)
    }

    /// Whatever is cut off, doubled, or changed in a line, nothing is taken of it.
    @Test func damagedOnesAreIgnored() {
        let text = Self.record.text
        for count in 0..<text.utf8.count { #expect(TunnelRecord(String(text.prefix(count))) == nil) }
        let lines = text.split(separator: "\n").map(String.init)
        for number in lines.indices {
            var doubled = lines
            doubled.insert(lines[number], at: number)
            #expect(TunnelRecord(doubled.joined(separator: "\n") + "\n") == nil, "\(lines[number]) twice")
            var missing = lines
            missing.remove(at: number)
            #expect(TunnelRecord(missing.joined(separator: "\n") + "\n") == nil, "\(lines[number]) missing")
            guard number > 3 else { continue }
            var changed = lines
            changed[number] += "x"
            #expect(TunnelRecord(changed.joined(separator: "\n") + "\n") == nil, "\(changed[number])")
        }
        for (old, new) in [
            ("weft-tunnel 1", "weft-tunnel 2"), ("port 8285", "port 0"), ("port 8285", "port 65536"),
            ("device flannel0", "device flannel0/x"), ("endpoint 172.30.0.11", "endpoint 172.30.0.256"),
            ("endpoint 2001:db8::11", "endpoint 172.30.0.13"), ("end 2", "end 3"), ("check true", "check yes"),
        ] {
            #expect(text.contains(old) && TunnelRecord(text.replacing(old, with: new)) == nil, "\(new)")
        }
    }

    @Test func metricsAndHealthNameEachReason() {
        var counters = TunnelCounters()
        counters.sentPackets = 7
        counters.dropped = [.unknownPeer: 3, .noNextHop: 1]
        let report = TunnelReport(counters: counters, offloads: [.virtioHeader])
        #expect(report.text == "sent 7 packets, received 0, dropped no-next-hop 1, unknown-peer 3; offloads: vnet_hdr")
        let page = report.metrics.map(\.text).joined()
        #expect(page.contains("weft_tunnel_packets_total{direction=\"sent\"} 7\n"))
        #expect(page.contains("# TYPE weft_tunnel_dropped_packets_total counter\n"))
        for reason in DropReason.allCases {
            #expect(page.contains("{reason=\"\(TunnelReport.name(reason))\"} \(counters.dropped[reason] ?? 0)\n"))
        }
        let board = HealthBoard()
        board.measure("tunnel", report.metrics)
        board.note("tunnel", report.text)
        board.set(.tunnelDown, "x")
        #expect(board.metricsPage.contains("weft_ready 0\n"))
        #expect(board.metricsPage.contains("weft_condition{condition=\"tunnel-down\"} 1\n"))
        #expect(board.metricsPage.contains(page))
        #expect(board.report.hasSuffix("\ntunnel: \(report.text)\n"))
    }
}
