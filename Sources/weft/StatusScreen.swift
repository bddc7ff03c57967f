import Lab
import Operations

/// A report as people read it.
struct StatusScreen {
    private let report: StatusReport
    private let style: TextStyle

    init(_ report: StatusReport, style: TextStyle) {
        self.report = report
        self.style = style
    }

    var text: String { [head, problems, peers].filter { !$0.isEmpty }.joined(separator: "\n") }

    private var head: String {
        let state = report.isReady ? style.apply(.good, to: "ready") : style.apply(.bad, to: "not ready")
        guard let host = report.host else { return "weftd \(report.version): \(state); no lease yet\n" }
        var text = "weftd \(report.version) on \(host.subnets.joined(separator: ", ")): \(state)\n"
        var table = TextTable(columns: [("", .left), ("", .left)])
        table.add([
            "lease", "\(host.isReservation ? "reserved" : "leased"), for \(host.addresses.joined(separator: ", "))",
        ])
        table.add(["backend", "\(host.backend), over \(host.interface), MTU \(host.mtu) for containers"])
        for device in host.devices {
            table.add([
                .init(device.name),
                device.isUp
                    ? .init(
                        "MTU \(device.mtu), in \(Self.bytes(device.receivedBytes)), out \(Self.bytes(device.sentBytes)), "
                            + "dropped \(device.dropped)")
                    : .init("down or missing", tone: .bad),
            ])
        }
        text += table.render(style, headings: false)
        return text
    }

    private var problems: String {
        let conditions = report.conditions.map { condition in
            let tone = condition.severity == "error" ? TextStyle.Tone.bad : .heading
            return "\(style.apply(tone, to: condition.severity)): \(condition.text)\n  \(condition.remedy)\n"
        }
        let ignored = report.ignored.map { "\(style.apply(.heading, to: "ignored")): \($0.name): \($0.reason)\n" }
        return (conditions + ignored).joined()
    }

    private var peers: String {
        guard report.host != nil else { return "" }
        guard !report.peers.isEmpty else { return "no peers: no other host has a lease\n" }
        var table = TextTable(columns: [
            ("peer", .left), ("host", .left), ("backend", .left), ("path", .left), ("MTU", .right),
            ("known for", .right),
            ("problem", .left),
        ])
        for peer in report.peers {
            table.add([
                .init(peer.subnets.joined(separator: ", ")), .init(peer.addresses.joined(separator: ", ")),
                .init(peer.backend.isEmpty ? "udp" : peer.backend),
                peer.path.map { .init($0) } ?? .init("none", tone: .bad), .init("\(peer.mtu)"),
                .init(Self.duration(peer.age)), .init(peer.problem ?? "", tone: .bad),
            ])
        }
        return table.render(style)
    }

    /// `12 KiB`, `1.5 GiB`.
    static func bytes(_ count: UInt64) -> String {
        var (value, unit) = (Double(count), "B")
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] where value >= 1024 {
            value /= 1024
            unit = next
        }
        if unit == "B" { return "\(count) B" }
        let tenths = Int((value * 10).rounded())
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10) \(unit)" : "\(Int(value.rounded())) \(unit)"
    }

    /// `8 s`, `12 min`, `5 h`, `3 d`: the largest unit that there are two of.
    static func duration(_ seconds: Int) -> String {
        for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "min")] where seconds >= 2 * unit {
            return "\(seconds / unit) \(name)"
        }
        return "\(seconds) s"
    }
}
