import IPNetwork
import LinuxSystem

/// A step that was done, with what is needed to undo it.
struct PerformedStep: Hashable, Codable, Sendable {
    var step: AttachmentStep
    var trace: StepTrace
}

/// What was there before a step.
struct StepTrace: Hashable, Codable, Sendable {
    /// Whether an interface was up.
    var wasUp = false
    /// Of an interface that was moved; of the host's end of a pair, the one that it is made with.
    var hardwareAddress: MACAddress?
    /// The number of an interface that was made in the container; 0 when it could not be made.
    var interface: Int32?
    /// Of an interface that was moved, in bytes.
    var mtu: UInt32?
    /// Of an interface that was moved.
    var addresses: [SavedAddress] = []
    /// Of an interface that was moved, or the container's default routes.
    var routes: [SavedRoute] = []
    /// A DHCP client.
    var process: ProcessIdentity?
}
