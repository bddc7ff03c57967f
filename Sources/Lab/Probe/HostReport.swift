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
