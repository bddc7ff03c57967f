import IPNetwork
import LinuxSystem

/// A container that runs, and where to reach it.
public struct RunningContainer: Hashable, Sendable {
    /// The container as planned.
    public let container: LabContainer
    /// Its address in the overlay.
    public let address: IPv4Address
    /// The namespace that its processes are in.
    public let namespace: NetworkNamespace
}
