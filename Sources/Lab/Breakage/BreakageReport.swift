/// What became of a breakage.
public struct BreakageReport: Hashable, Sendable {
    /// What was broken.
    public let breakage: Breakage
    /// From the moment it was broken (or, for etcd and the uplink, given back) until all was as before; `nil` when it was
    /// not within ``limit``.
    public let healed: Duration?
    /// How long was waited for it.
    public let limit: Duration
    /// What differs from before, when it did not heal.
    public let differences: [String]
    /// The pings between two containers on different hosts, 100 a second, while it lasted; `nil` with one host.
    public let pings: EchoProbe.Tally?
    /// The two containers.
    public let path: String

    /// The report in words.
    public func text(_ style: TextStyle) -> String {
        var lines: [String] = []
        if let healed {
            let time = Format.milliseconds(healed)
            let words =
                switch breakage {
                case .etcd: "the host is as before, with etcd gone and back"
                case .uplink: "healed: all as before \(time) after eth0 was up again"
                case .daemon: "the new daemon has everything in place \(time) after the kill"
                default: "healed: all as before after \(time)"
                }
            lines.append(style.apply(.good, to: "✓ \(words)"))
        } else {
            lines.append(style.apply(.bad, to: "✗ not healed after \(Format.seconds(limit))"))
            lines += differences.map { "  \($0)" }
        }
        if let pings {
            let tone: TextStyle.Tone = pings.lost == 0 ? .good : .bad
            let gap = pings.lost == 0 ? "" : ", the longest silence about \(pings.longestGap * 10) ms"
            let count = style.apply(tone, to: "\(pings.lost) of \(pings.sent) pings lost")
            lines.append("\(count) from \(path) at 100 a second\(gap)")
        }
        return lines.map { "  \($0)\n" }.joined()
    }
}

extension HostState {
    /// What is different in `other`, a line each, in words.
    public func differences(to other: HostState) -> [String] {
        var lines: [String] = []
        switch (device, other.device) {
        case (let old?, let new?):
            if old.isUp != new.isUp { lines.append("\(new.name) is \(new.isUp ? "up" : "down")") }
            if old.mac != new.mac { lines.append("the MAC of \(new.name) is \(new.mac), was \(old.mac)") }
            if old.mtu != new.mtu { lines.append("the MTU of \(new.name) is \(new.mtu), was \(old.mtu)") }
            if old.addresses != new.addresses {
                lines.append("the addresses of \(new.name) are \(new.addresses), were \(old.addresses)")
            }
        case (let old?, nil): lines.append("\(old.name) is missing")
        case (nil, let new?): lines.append("\(new.name) is new")
        case (nil, nil): break
        }
        if isUplinkUp != other.isUplinkUp { lines.append("eth0 is \(other.isUplinkUp ? "up" : "down")") }
        if uplinkMTU != other.uplinkMTU { lines.append("the MTU of eth0 differs") }
        func compare<Element>(_ old: Set<Element>, _ new: Set<Element>, _ noun: String) {
            let missing = old.subtracting(new).count
            let extra = new.subtracting(old).count
            if missing > 0 { lines.append("missing: \(Format.count(missing, noun))") }
            if extra > 0 { lines.append("new: \(Format.count(extra, noun))") }
        }
        compare(routes, other.routes, "route")
        compare(neighbours, other.neighbours, "permanent neighbour")
        compare(forwardingEntries, other.forwardingEntries, "forwarding record")
        if firewall != other.firewall { lines.append("the packet filter's rules differ") }
        return lines
    }
}
