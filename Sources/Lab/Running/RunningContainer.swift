import IPNetwork
import LinuxSystem

/// A container that runs, and where to reach it.
public struct RunningContainer: Hashable, Sendable {
    public let container: LabContainer
    public let address: IPv4Address
    public let namespace: NetworkNamespace
}
