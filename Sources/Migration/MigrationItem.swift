import EtcdRegistry
import IPNetwork
import Leases

/// What is to happen to the config or to a lease.
public struct MigrationItem: Hashable, Sendable {
    /// The verdict on a key.
    public enum Verdict: Hashable, Sendable {
        /// Both sides say the same; this one leads.
        case same(origin: MigrationSide)
        case create(on: MigrationSide)
        case update(on: MigrationSide)
        /// The value is the same, the time to live is not.
        case extend(on: MigrationSide)
        /// The original has ended.
        case remove(from: MigrationSide)
        /// Neither side has it any more.
        case forget
        /// It has a few seconds left, which is not worth a copy.
        case endsSoon
        /// It is copied when all leases are.
        case waits
        /// Not a lease that any daemon would heed.
        case skipped(reason: String)
        /// An operator has to decide.
        case conflict(reason: String, remedy: String)
    }

    /// The key.
    public let subject: MigrationSubject
    /// What is to happen.
    public let verdict: Verdict
    /// The address of the lease's host, where it can be read.
    public let host: String?
    /// What is left of the time to live of what is there, on the side that leads; `nil` without one.
    public let remaining: Duration?
    /// Without a time to live.
    public let isReservation: Bool

    /// Whether an operator has to decide.
    public var isConflict: Bool {
        if case .conflict = verdict { true } else { false }
    }
}

/// A change to one key, that is only made if nobody wrote in between.
public struct MigrationStep: Hashable, Sendable {
    enum Action: Hashable, Sendable {
        /// Writes `source`, which is from the other side, on `side` if the key is at `revision` there.
        case copy(source: MigrationEntry, to: MigrationSide, revision: Int64)
        case remove(MigrationEntry, from: MigrationSide)
        /// Notes that both sides are in step.
        case note(MigrationNote)
        case forget
    }

    let subject: MigrationSubject
    let action: Action
    /// The note's revision before; 0 when there is none.
    let noteRevision: Int64
    /// What the note says before.
    let note: StoredNote?
    /// What this step is part of.
    public let item: MigrationItem
}
