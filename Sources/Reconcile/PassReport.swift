import KernelState

/// What a pass did.
public struct PassReport: Hashable, Sendable {
    /// Requests sent.
    public var requests = 0
    /// Requests that the kernel refused, by object, as text.
    public var failures: [ObjectKey: String] = [:]
    /// Why the pass ended early: the kernel could not be read or told.
    public var error: String?
    /// The kernel was read, and not just told of the difference.
    public var didRead = false

    /// A pass that had nothing to do.
    public init() {}
}
