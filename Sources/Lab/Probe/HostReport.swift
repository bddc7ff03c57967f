/// What a host holds and what etcd says about it.
public struct HostReport: Hashable, Sendable {
    /// The host as planned.
    public let host: LabHost
    /// `nil` when the daemon has not written one.
    public let subnet: SubnetFile?
    /// The public IP in the lease that etcd holds, `nil` when etcd has none or does not answer.
    public let leasedIP: String?
    /// The VTEP MAC in that lease.
    public let leasedMAC: String?
    /// What its kernel holds.
    public let state: HostState
    /// Whether the daemon's process is alive.
    public let daemonRuns: Bool
}
