/// What carries the packets of the udp backend. The bytes on the wire are the same.
public enum UDPPlane: String, Hashable, Sendable {
    /// The kernel's Foo-over-UDP.
    case kernel
    /// A TUN device, and a tunnel in the daemon that reads and writes it.
    case userspace
}

/// The plane that a host uses, and what decided it, for the log and `weft status`.
public struct UDPPlaneChoice: Hashable, Sendable, CustomStringConvertible {
    /// The plane in use.
    public var plane: UDPPlane
    /// In words that follow "since".
    public var reason: String

    /// Both fields as given.
    public init(plane: UDPPlane, reason: String) {
        self.plane = plane
        self.reason = reason
    }

    /// For example `userspace, since Backend.DataPlane says so`.
    public var description: String { "\(plane.rawValue), since \(reason)" }
}

/// Whether a host's kernel can carry the udp backend's packets itself.
public enum KernelPlaneSupport: Hashable, Sendable {
    case available
    /// What the kernel lacks, in words that follow "since".
    case unavailable(String)
}
