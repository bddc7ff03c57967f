import Leases

/// What copying a network between two registries needs beyond ``SubnetSession``: how much time leases have left, and
/// writes with a time to live of the caller's choice.
public protocol MigrationSession: SubnetSession {
    /// Config and leases as they are now.
    ///
    /// - Parameter known: An earlier answer. A time to live that is kept by an id, which etcd tells one by one, is taken
    ///   from it; so it may be older than the answer, but is never of another lease.
    func migrationSnapshot(reusing known: MigrationSnapshot?) async throws(StoreError) -> MigrationSnapshot

    /// Writes or removes a key if it is still as it was.
    ///
    /// - Returns: The key's revision after the write; `nil` when another wrote in between, and nothing was done.
    func migrate(_ write: MigrationWrite) async throws(StoreError) -> Int64?
}

/// The registry that a network is moved to. It also keeps notes on what was copied, a key for each lease outside the
/// leases' directory, where no daemon looks.
public protocol MigrationTarget: MigrationSession {
    /// As ``MigrationSession/migrate(_:)``, with a note in the same transaction: `nil` deletes it.
    func migrate(_ write: MigrationWrite, note: [UInt8]?) async throws(StoreError) -> Int64?

    /// Writes or with `nil` deletes a note, if note and key are still at these revisions. 0 is "not there"; a `nil`
    /// revision of the key is not looked at.
    ///
    /// - Returns: The registry's revision after it, which is the note's; `nil` when it was not done.
    func putNote(
        _ note: [UInt8]?, on subject: MigrationSubject, noteRevision: Int64, keyRevision: Int64?
    ) async throws(StoreError) -> Int64?
}

/// The config or a lease.
public enum MigrationSubject: Hashable, Sendable {
    case config
    /// By its name, such as `10.5.34.0-24`.
    case lease(String)
}

/// A key of the registry.
public struct MigrationEntry: Hashable, Sendable {
    /// The bytes as stored.
    public let value: [UInt8]
    /// When it was last written, in the registry's own count.
    public let revision: Int64
    /// The earliest instant at which it may end; `nil` without a time to live. It ends less than two seconds later.
    public let deadline: ContinuousClock.Instant?
    /// What the registry keeps its time to live under; 0 when it has none, or keeps it with the key.
    public let timeToLiveID: Int64

    /// All fields as given.
    public init(
        value: [UInt8], revision: Int64, deadline: ContinuousClock.Instant?, timeToLiveID: Int64 = 0
    ) {
        self.value = value
        self.revision = revision
        self.deadline = deadline
        self.timeToLiveID = timeToLiveID
    }
}

/// What a registry holds for one network.
public struct MigrationSnapshot: Hashable, Sendable {
    /// `nil` when there is none.
    public var config: MigrationEntry?
    /// By name, unusable ones too.
    public var leases: [String: MigrationEntry]
    /// Notes, in a registry that is moved to.
    public var notes: [MigrationSubject: MigrationEntry]
    /// A watch after this revision misses nothing that came after the snapshot.
    public var revision: Int64

    /// All fields as given.
    public init(
        config: MigrationEntry? = nil, leases: [String: MigrationEntry] = [:],
        notes: [MigrationSubject: MigrationEntry] = [:], revision: Int64 = 0
    ) {
        self.config = config
        self.leases = leases
        self.notes = notes
        self.revision = revision
    }
}

/// A write that depends on a revision.
public struct MigrationWrite: Hashable, Sendable {
    /// What is done.
    public enum Change: Hashable, Sendable {
        /// Writes the value; without a time to live it stays for good.
        case put(timeToLive: Duration?)
        /// Removes the key, whose value is given. It may take a second until it is gone.
        case remove
    }

    /// The key.
    public let subject: MigrationSubject
    /// What is or was there.
    public let value: [UInt8]
    /// What is done.
    public let change: Change
    /// The key's revision before; 0 when there must be none.
    public let revision: Int64

    /// All fields as given.
    public init(_ subject: MigrationSubject, value: [UInt8], _ change: Change, ifAt revision: Int64) {
        self.subject = subject
        self.value = value
        self.change = change
        self.revision = revision
    }
}
