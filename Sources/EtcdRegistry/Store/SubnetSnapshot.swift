import Leases

/// All that the registry holds for the network, at one revision.
public struct SubnetSnapshot: Sendable {
    /// The text under `<prefix>/config`, or `nil` when there is none.
    public let config: [UInt8]?
    /// What is under `<prefix>/subnets/`, malformed records too.
    public let leases: [LeaseRecord]
    /// A watch after this revision misses nothing that came after the snapshot.
    public let revision: Int64

    /// All fields as given.
    public init(config: [UInt8]?, leases: [LeaseRecord], revision: Int64) {
        self.config = config
        self.leases = leases
        self.revision = revision
    }
}

/// A change in the registry.
public enum SubnetEvent: Hashable, Sendable {
    /// The config was written, or with `nil` deleted.
    case config([UInt8]?)
    /// A lease is new or was written again.
    case put(LeaseRecord)
    /// A lease was deleted or its time ran out, at this revision.
    case removed(name: String, revision: Int64)
}

/// Why a watch ended while the connection may still be good. A broken connection is a ``StoreError`` instead.
public enum WatchEnd: Hashable, Sendable {
    /// The history from the start revision on is gone.
    case compacted
    /// The server ended the watch; the text is its reason.
    case cancelled(String)
}
