import Operations
import Tunnel

/// What the userspace tunnel did, for people and for Prometheus.
struct TunnelReport {
    var counters: TunnelCounters
    /// `nil` while none runs.
    var offloads: TunnelOffloads?

    /// On one line; only reasons for which packets were dropped are named.
    var text: String {
        let drops = DropReason.allCases.compactMap { reason in
            counters.dropped[reason].map { "\(Self.name(reason)) \($0)" }
        }
        return "sent \(counters.sentPackets) packets, received \(counters.receivedPackets), dropped "
            + (drops.isEmpty ? "none" : drops.joined(separator: ", "))
            + "; offloads: \(offloads.map { "\($0)" } ?? "not running")"
    }

    var metrics: [Metric] {
        let byDirection: [(String, String, UInt64, UInt64)] = [
            ("packets", "Inner packets.", counters.sentPackets, counters.receivedPackets),
            ("bytes", "Bytes of inner packets.", counters.sentBytes, counters.receivedBytes),
            (
                "messages", "Datagram messages, each of one datagram or more.", counters.sentMessages,
                counters.receivedMessages
            ),
        ]
        var metrics = byDirection.map { name, help, sent, received in
            Metric(
                "weft_tunnel_\(name)_total", .counter, help, label: "direction",
                [.init("sent", sent), .init("received", received)])
        }
        metrics.append(
            Metric(
                "weft_tunnel_icmp_errors_total", .counter, "ICMP errors about packets that were not passed on.",
                label: "outcome", [.init("sent", counters.icmpSent), .init("limited", counters.icmpLimited)]))
        metrics.append(
            Metric(
                "weft_tunnel_dropped_packets_total", .counter, "Packets that were not passed on.", label: "reason",
                DropReason.allCases.map { .init(Self.name($0), counters.dropped[$0] ?? 0) }))
        metrics.append(
            Metric(
                "weft_tunnel_running", .gauge, "Whether the tunnel runs.", [.init(nil, offloads == nil ? 0 : 1)]))
        return metrics
    }

    /// A reason as operators read it; docs/udp.md has the same names.
    static func name(_ reason: DropReason) -> String {
        switch reason {
        case .noNextHop: "no-next-hop"
        case .multicast: "multicast"
        case .hopLimit: "hop-limit"
        case .badOffload: "bad-offload"
        case .sendFailed: "send-failed"
        case .unknownPeer: "unknown-peer"
        case .sourceNotOwned: "source-not-owned"
        case .destinationNotOurs: "destination-not-ours"
        case .writeFailed: "write-failed"
        case .truncated: "truncated"
        case .malformed: "malformed"
        case .badHeaderChecksum: "bad-header-checksum"
        }
    }
}
