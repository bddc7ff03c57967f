import IPNetwork
import LinuxSystem

/// What a host holds and what etcd says about it.
public struct HostReport: Hashable, Sendable {
    public let host: LabHost
    /// `nil` when the daemon has not written one.
    public let subnet: SubnetFile?
    /// The public IP in the lease that etcd holds, `nil` when etcd has none or does not answer.
    public let leasedIP: String?
    /// The VTEP MAC in that lease.
    public let leasedMAC: String?
    public let state: HostState
    public let daemonRuns: Bool
}

/// The result of pings between all containers.
public struct PingMatrix: Hashable, Sendable {
    /// `c1.h1` and so on.
    public let names: [String]
    /// By source and destination; `nil` from a container to itself.
    public let tallies: [[EchoProbe.Tally?]]

    public var isComplete: Bool { tallies.joined().allSatisfy { $0.map { $0.lost == 0 } ?? true } }
}

/// TCP between two containers.
public struct ThroughputReport: Hashable, Sendable {
    public let source: String
    public let destination: String
    public let outcome: Outcome

    public enum Outcome: Hashable, Sendable {
        case bitsPerSecond(Double)
        /// Not measured, and why.
        case none(String)
    }
}

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
