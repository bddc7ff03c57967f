import Leases

/// The registry as Weft uses it, whatever etcd API is spoken: a config, leases with or without a time to live, atomic
/// writes by revision, and a watch.
public protocol SubnetStore: Sendable {
    /// The places where it can be reached, first as an operator wrote them; at least one. What a session finds out may
    /// change what follows those.
    var endpoints: [String] { get }
    /// How many of ``endpoints`` an operator wrote.
    var configuredEndpointCount: Int { get }
    /// Where the config is, for messages: `/coreos.com/network/config`.
    var configKey: String { get }
    /// What a lease that is made lives without renewal.
    var leaseTimeToLive: Duration { get }
    /// An operator's command that puts a config, for messages.
    var configCommand: String { get }

    /// Runs `body` with a session at one of ``endpoints``, and closes the session when it ends.
    ///
    /// - Throws: ``StoreError`` when there is no session to be had, and what `body` throws.
    func withSession(endpoint: Int, _ body: @Sendable (any SubnetSession) async throws -> Void) async throws
}

extension SubnetStore {
    /// All of them.
    public var configuredEndpointCount: Int { endpoints.count }
}

/// A connection to the registry. After an error of kind `unavailable`, `timedOut` or `noLeader` a caller starts
/// another.
public protocol SubnetSession: Sendable {
    /// Config and leases. A watch after its revision misses nothing of either.
    func snapshot() async throws(StoreError) -> SubnetSnapshot

    /// Calls `handle` with each batch of changes after `revision`, in the registry's order, until the watch ends.
    func watch(
        after revision: Int64, _ handle: @escaping @Sendable ([SubnetEvent]) -> Void
    ) async throws(StoreError) -> WatchEnd

    /// Gets what a later ``create(name:value:)`` needs, so that it takes one round trip less. A failure shows there.
    func prepareCreate() async

    /// Makes a lease with the registry's time to live, unless there is one by this name.
    func create(name: String, value: [UInt8]) async throws(StoreError) -> CreateOutcome

    /// Drops what ``prepareCreate()`` or a lost ``create(name:value:)`` left unused.
    func discardPrepared() async

    /// Writes a lease again if it is still as in `record`. One without a time to live stays without; another's goes on, or
    /// starts afresh where it can't.
    func replace(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome

    /// Writes a lease that has a time to live again if it is still as in `record`, with the registry's time to live from
    /// now.
    func takeOver(_ record: LeaseRecord, value: [UInt8]) async throws(StoreError) -> WriteOutcome

    /// Deletes a lease if it is still as in `record`.
    ///
    /// - Returns: Whether it is gone; `false` when it was written since.
    func delete(_ record: LeaseRecord) async throws(StoreError) -> Bool

    /// Starts a lease's time to live afresh if it is still as in `record`, without a change that watchers see, unless
    /// its time to live is another one than the registry's. The mod revision may be another afterwards.
    func renew(_ record: LeaseRecord) async throws(StoreError) -> RenewOutcome
}

/// What became of a create.
public enum CreateOutcome: Hashable, Sendable {
    case created(LeaseRecord)
    /// Another was first; what it wrote.
    case taken(LeaseRecord)
}

/// What became of a write that depends on a revision.
public enum WriteOutcome: Hashable, Sendable {
    case written(LeaseRecord)
    /// Written by another in between; what is there now, `nil` when it is deleted.
    case changed(LeaseRecord?)
}

/// What became of a renewal.
public enum RenewOutcome: Hashable, Sendable {
    /// The time to live from now. The record's mod revision differs when it had to be written.
    case renewed(LeaseRecord, timeToLive: Duration)
    /// It is without a time to live.
    case reservation
    /// Written by another in between; what is there now, `nil` when it is deleted.
    case changed(LeaseRecord?)
}
