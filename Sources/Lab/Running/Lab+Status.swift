import IPNetwork
import LinuxSystem

extension Lab {
    /// The state of each host.
    public func hostReports() async throws -> [HostReport] {
        let leases = try await registeredLeases()
        let directory = directory
        let device = plan.tunnelDevice
        return try await withThrowingTaskGroup(of: HostReport.self) { group in
            for host in plan.hosts {
                group.addTask {
                    let subnet = LabDirectory.read(directory.subnetFile(host)).flatMap { try? SubnetFile($0) }
                    let lease = subnet.flatMap { leases["\($0.gateway.prefix)"] }
                    return HostReport(
                        host: host, subnet: subnet, leasedIP: lease?.PublicIP, leasedMAC: lease?.BackendData?.VtepMAC,
                        state: try await HostState.read(
                            namespace: host.namespace, device: device, readsFirewall: false),
                        daemonRuns: ProcessTable.running(pidFile: directory.daemonPID(host)) != nil)
                }
            }
            var reports: [HostReport] = []
            for try await report in group { reports.append(report) }
            return reports.sorted { $0.host.number < $1.host.number }
        }
    }

    /// Pings every container from every other, all at once.
    public func pingMatrix() async throws -> PingMatrix {
        let containers = try await runningContainers()
        var paths: [EchoProbe.Path] = []
        for source in containers {
            for destination in containers where destination != source {
                paths.append(EchoProbe.Path(source: source.namespace, destination: destination.address))
            }
        }
        var tallies = try await EchoProbe.measure(paths, count: 3)[...]
        let rows = containers.map { source in
            containers.map { destination in destination == source ? nil : tallies.popFirst() }
        }
        return PingMatrix(names: containers.map(\.container.qualifiedName), tallies: rows)
    }

    /// Measures TCP from the first container of the first host to the first of the last; `nil` with one host.
    public func throughput() async throws -> ThroughputReport? {
        let containers = try await runningContainers()
        guard
            let source = containers.first, let destination = containers.last(where: { $0.container.number == 1 }),
            source.container.host != destination.container.host
        else { return nil }
        let outcome: ThroughputReport.Outcome
        do {
            let rate = try await Throughput.measure(
                from: source.namespace, to: destination.namespace, address: destination.address)
            outcome = rate.map { .bitsPerSecond($0) } ?? .none("iperf3 is not installed")
        } catch let error as LabError {
            outcome = .none(error.cause)
        }
        return ThroughputReport(
            source: source.container.qualifiedName, destination: destination.container.qualifiedName, outcome: outcome)
    }
}
