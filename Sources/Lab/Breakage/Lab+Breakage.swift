import FoundationEssentials
import LinuxSystem

extension Lab {
    /// Breaks something while two containers ping each other, and waits until all is as before.
    ///
    /// - Parameters:
    ///   - hostName: the host it happens to.
    ///   - outage: how long etcd stays away; of no meaning for the others.
    ///   - limit: how long to wait for everything to be as before.
    ///   - announce: called with a line before it breaks, and when something is given back.
    /// - Throws: ``LabError`` when the lab has no such thing, or is not whole beforehand.
    public func breaks(
        _ breakage: Breakage, on hostName: String, outage: Duration, limit: Duration,
        announce: @escaping @Sendable (String) -> Void
    ) async throws -> BreakageReport {
        let host = try host(named: hostName)
        if breakage.needsDevice, plan.tunnelDevice == nil {
            let others = Breakage.allCases.filter { !$0.needsDevice }.map(\.rawValue).joined(separator: ", ")
            throw LabError(
                "the backend \(plan.backend.rawValue) has no tunnel device, so there is no \(breakage.rawValue) to break",
                remedy: "What can break: \(others).")
        }
        let before = try await read(host)
        guard breakage == .daemon || isWhole(before) else {
            throw LabError(
                "\(host.name) is not whole: a device or routes are missing (weft lab status shows it)",
                remedy: "weft lab break daemon \(host.name) restarts its daemon, which usually repairs it.")
        }
        if breakage == .daemon, ProcessTable.running(pidFile: directory.daemonPID(host)) == nil {
            throw LabError("the daemon on \(host.name) does not run", remedy: "weft lab logs \(host.name) says why.")
        }
        let chains = breakage == .firewall ? try await FilterChain.read(namespace: host.namespace) : []
        let commands = try breakage.commands(before, chains: chains)
        announce(breakage.sentence(host: host.name, device: plan.tunnelDevice ?? "eth0"))

        let containers = try await runningContainers()
        guard
            let source = containers.first(where: { $0.container.host == host.name }),
            let destination = containers.first(where: { $0.container.host != host.name })
        else {
            let healed = try await carryOut(breakage, commands, host, before, outage, limit, announce)
            return try await report(breakage, healed, limit, host, before, nil, "")
        }
        let path = EchoProbe.Path(source: source.namespace, destination: destination.address)
        let (healed, pings) = try await EchoProbe.measure(path, interval: .milliseconds(10)) {
            try await Task.sleep(for: .milliseconds(300))
            let healed = try await self.carryOut(breakage, commands, host, before, outage, limit, announce)
            try await Task.sleep(for: .milliseconds(500))
            return healed
        }
        return try await report(
            breakage, healed, limit, host, before, pings,
            "\(source.container.qualifiedName) to \(destination.container.qualifiedName)")
    }

    /// Whether the host can reach every other.
    private func isWhole(_ state: HostState) -> Bool {
        state.routes.count == plan.hostCount - 1 && state.isUplinkUp
            && (plan.tunnelDevice == nil || state.device?.isUp == true)
    }

    private func read(_ host: LabHost) async throws -> HostState {
        try await HostState.read(namespace: host.namespace, device: plan.tunnelDevice)
    }

    /// Breaks it, gives back what the daemon cannot, and returns how long it took until all was as before.
    private func carryOut(
        _ breakage: Breakage, _ commands: [[String]], _ host: LabHost, _ before: HostState, _ outage: Duration,
        _ limit: Duration, _ announce: @Sendable (String) -> Void
    ) async throws -> Duration? {
        for command in commands { try await Tool.require(Tool.inside(host.namespace, command)) }
        switch breakage {
        case .etcd:
            try await killRegistry()
            announce("  … etcd is gone for \(Format.seconds(outage))")
            try await Task.sleep(for: outage)
            try await restartRegistry()
            announce("  … etcd is back")
        case .daemon:
            let start = ContinuousClock.now
            let file = directory.subnetFile(host)
            let text = LabDirectory.read(file)
            try await ProcessTable.end(pidFile: directory.daemonPID(host))
            // An empty line more, which a daemon takes back once it has its lease; otherwise the state of the old daemon
            // would pass for the new one's.
            try Data("\(text ?? "")\n".utf8).write(to: URL(filePath: file))
            try startDaemon(host)
            return try await Poll.until(limit, every: .milliseconds(5)) {
                guard LabDirectory.read(file).map({ !$0.hasSuffix("\n\n") }) == true else { return nil }
                let state = try await read(host)
                // More than before is fine: a restart may repair what was broken earlier.
                let hasAll =
                    isWhole(state) && state.neighbours.isSuperset(of: before.neighbours)
                    && state.forwardingEntries.isSuperset(of: before.forwardingEntries)
                return hasAll ? ContinuousClock.now - start : nil
            }
        case .uplink:
            try await Task.sleep(for: .seconds(1))
            // What the host's network configuration, not the daemon, is there for.
            try await Tool.apply(
                LinkScript(
                    namespace: host.namespace,
                    lines: ["link set eth0 up", "route replace default via \(LabPlan.switchAddress)"]))
            announce("  … eth0 is up again")
        default: break
        }
        let start = ContinuousClock.now
        return try await Poll.until(limit, every: .milliseconds(5)) {
            let state = try await read(host)
            return state == before ? ContinuousClock.now - start : nil
        }
    }

    private func report(
        _ breakage: Breakage, _ healed: Duration?, _ limit: Duration, _ host: LabHost, _ before: HostState,
        _ pings: EchoProbe.Tally?, _ path: String
    ) async throws -> BreakageReport {
        BreakageReport(
            breakage: breakage, healed: healed, limit: limit,
            differences: healed == nil ? before.differences(to: try await read(host)) : [], pings: pings, path: path)
    }
}
