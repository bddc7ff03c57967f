/// The lab in tables and words.
public struct LabReport: Sendable {
    /// The lab that is reported on.
    public let plan: LabPlan
    /// Whether there are colours.
    public let style: TextStyle

    /// All fields as given.
    public init(plan: LabPlan, style: TextStyle) {
        self.plan = plan
        self.style = style
    }

    private func title(_ text: String) -> String { "\n" + style.apply(.heading, to: text) + "\n" }

    // MARK: - Hosts

    /// A row per host: its lease, device, MTU, VTEP MAC, public IP, and the number of its routes.
    public func hostTable(_ reports: [HostReport]) -> String {
        var columns: [(heading: String, alignment: TextTable.Alignment)] = [
            ("HOST", .left), ("PUBLIC IP", .left), ("LEASE", .left), ("DEVICE", .left), ("MTU", .right),
        ]
        let hasDevice = plan.tunnelDevice != nil
        if hasDevice { columns.append(("VTEP MAC", .left)) }
        columns += [("ROUTES", .right), ("DAEMON", .left)]
        var table = TextTable(columns: columns)
        for report in reports {
            var row: [TextTable.Cell] = [
                "\(report.host.name)",
                report.leasedIP.map { "\($0)" } ?? TextTable.Cell("not in etcd", tone: .bad),
                report.subnet.map { "\($0.gateway.prefix)" } ?? TextTable.Cell("none", tone: .bad),
                device(report), mtu(report),
            ]
            if hasDevice { row.append(mac(report)) }
            let count = report.state.routes.count
            row.append(TextTable.Cell("\(count)", tone: count == plan.hostCount - 1 ? nil : .bad))
            row.append(report.daemonRuns ? TextTable.Cell("runs", tone: .good) : TextTable.Cell("stopped", tone: .bad))
            table.add(row)
        }
        return title("Hosts") + table.render(style)
    }

    private func device(_ report: HostReport) -> TextTable.Cell {
        guard let name = plan.tunnelDevice else {
            return report.state.isUplinkUp ? "eth0" : TextTable.Cell("eth0 (down)", tone: .bad)
        }
        guard let device = report.state.device else { return TextTable.Cell("\(name) is missing", tone: .bad) }
        return device.isUp ? "\(name)" : TextTable.Cell("\(name) (down)", tone: .bad)
    }

    private func mtu(_ report: HostReport) -> TextTable.Cell {
        let value = plan.tunnelDevice == nil ? report.state.uplinkMTU : report.state.device?.mtu
        guard let value else { return TextTable.Cell("–", tone: .faint) }
        return TextTable.Cell("\(value)", tone: report.subnet.map { $0.mtu == value } ?? true ? nil : .bad)
    }

    private func mac(_ report: HostReport) -> TextTable.Cell {
        guard let mac = report.state.device?.mac else { return TextTable.Cell("–", tone: .faint) }
        let isPublished = report.leasedMAC == nil || report.leasedMAC == mac
        return isPublished ? "\(mac)" : TextTable.Cell("\(mac) (not as leased)", tone: .bad)
    }

    /// The routes of the first hosts.
    public func routes(_ reports: [HostReport]) -> String {
        let hostLimit = 4
        let routeLimit = 6
        var text = title("Routes to the other hosts' containers")
        var table = TextTable(columns: [("HOST", .left), ("TO", .left), ("VIA", .left), ("DEVICE", .left)])
        for report in reports.prefix(hostLimit) {
            let routes = report.state.routes.sorted { $0.destination < $1.destination }
            if routes.isEmpty { table.add(["\(report.host.name)", "none"]) }
            for (index, route) in routes.prefix(routeLimit).enumerated() {
                table.add([
                    index == 0 ? "\(report.host.name)" : "", "\(route.destination)", "\(route.gateway)",
                    "\(route.device)",
                ])
            }
            if routes.count > routeLimit {
                table.add(["", TextTable.Cell("and \(routes.count - routeLimit) more", tone: .faint)])
            }
        }
        text += table.render(style)
        if reports.count > hostLimit {
            text += style.apply(.faint, to: "  and \(Format.count(reports.count - hostLimit, "more host"))") + "\n"
        }
        return text
    }

    // MARK: - Pings

    /// A row per container that pings, a column per container that answers; by hosts when there are many.
    public func matrix(_ matrix: PingMatrix) -> String {
        guard matrix.names.count > 1 else { return title("Pings") + "  none: there is nobody to ping\n" }
        let limit = 12
        let isByHost = matrix.names.count > limit
        let shown = isByHost ? Self.byHost(matrix) : matrix
        var text = title(
            isByHost ? "Pings between the containers, by host" : "Pings: every container from every other")
        var table = TextTable(columns: [("FROM \\ TO", .left)] + shown.names.map { ($0, .centre) })
        for (name, row) in zip(shown.names, shown.tallies) { table.add(["\(name)"] + row.map(cell)) }
        text += table.render(style)
        let all = matrix.tallies.joined().compactMap(\.self)
        let whole = all.filter { $0.lost == 0 }.count
        let verdict =
            whole == all.count
            ? style.apply(.good, to: "✓ all \(all.count) paths work")
            : style.apply(.bad, to: "✗ \(all.count - whole) of \(all.count) paths lose packets")
        return text + "  " + verdict + "\n"
    }

    private func cell(_ tally: EchoProbe.Tally?) -> TextTable.Cell {
        guard let tally else { return TextTable.Cell("·", tone: .faint) }
        if tally.lost == 0 { return TextTable.Cell("✓", tone: .good) }
        return TextTable.Cell("✗ \(Int((tally.lossRatio * 100).rounded()))%", tone: .bad)
    }

    /// Sums up over the containers of each host; between containers of one host too.
    static func byHost(_ matrix: PingMatrix) -> PingMatrix {
        let hosts = matrix.names.map { $0.split(separator: ".").last.map(String.init) ?? $0 }
        var names: [String] = []
        for host in hosts where names.last != host { names.append(host) }
        let rows = names.map { source in
            names.map { destination -> EchoProbe.Tally? in
                var sum: EchoProbe.Tally?
                for (row, from) in zip(matrix.tallies, hosts) where from == source {
                    for (tally, to) in zip(row, hosts) where to == destination {
                        guard let tally else { continue }
                        sum = sum ?? EchoProbe.Tally()
                        sum?.sent += tally.sent
                        sum?.received += tally.received
                    }
                }
                return sum
            }
        }
        return PingMatrix(names: names, tallies: rows)
    }

    // MARK: - Words

    /// One line about TCP.
    public func throughput(_ report: ThroughputReport) -> String {
        let what = "TCP, one stream, \(report.source) to \(report.destination)"
        let result =
            switch report.outcome {
            case .bitsPerSecond(let rate): style.apply(.good, to: Format.rate(rate))
            case .none(let reason): style.apply(.bad, to: "not measured: \(reason)")
            }
        return title("Throughput") + "  \(what): \(result)\n"
    }

    /// What happened, for somebody who sees it for the first time.
    public func explanation() -> String {
        let way =
            switch plan.backend {
            case .vxlan:
                """
                  A packet to another host's container leaves through flannel.1, which wraps it in UDP (VXLAN) addressed to
                  that host; 50 bytes of wrapping are why the MTU is 1450 and not 1500.
                """
            case .hostGateway:
                """
                  A packet to another host's container is routed straight to that host as its gateway (host-gw), unwrapped,
                  so the MTU stays 1500.
                """
            }
        return title("What happened") + """
              \(Format.count(plan.hostCount, "host")) (network namespaces joined by a switch) each run a daemon. Each daemon took a lease in etcd:
              a /24 of \(LabPlan.network) of its own. Its containers get addresses from it. Each daemon watches the leases of
              the others and keeps a route to every one.
            \(way)

            """
    }

    /// Commands worth trying.
    public func suggestions(command: String = "weft") -> String {
        let name = plan.name == Self.defaultName ? "" : " --name \(plan.name)"
        let first =
            plan.tunnelDevice == nil
            ? ("routes", "delete the routes of h1 and watch them come back")
            : ("device", "delete flannel.1 on h1 and watch it come back")
        var table = TextTable(columns: [("", .left), ("", .left)])
        table.add(["\(command) lab break \(first.0)\(name)", "\(first.1)"])
        table.add(["\(command) lab break etcd --for 10s\(name)", "stop etcd: traffic goes on"])
        table.add(["\(command) lab add\(name)", "add a host: the others learn of it"])
        table.add(["\(command) lab shell h1\(name)", "look around on a host, or in a container: h1/c1"])
        table.add(["\(command) lab logs h1 -f\(name)", "what the daemon says"])
        table.add(["\(command) lab status\(name)", "these tables again"])
        table.add(["\(command) lab down\(name)", "remove it all"])
        return title("What to try next") + table.render(style, headings: false)
    }

    /// The name of a lab that was not given one.
    public static let defaultName = "weft-lab"
}
