/// A difference between two sets of peers' leases. A later difference can be merged into an earlier one, so that a burst
/// is handled as one.
public struct LeaseChanges: Hashable, Sendable {
    /// Leases that are new or different.
    public private(set) var updated: [SubnetKey: Lease]
    /// Leases that are gone.
    public private(set) var removed: Set<SubnetKey>

    /// A key in both counts as updated.
    public init(updated: [SubnetKey: Lease] = [:], removed: Set<SubnetKey> = []) {
        self.updated = updated
        self.removed = removed.subtracting(updated.keys)
    }

    /// Whether nothing changed.
    public var isEmpty: Bool { updated.isEmpty && removed.isEmpty }

    /// Adds what changed after this.
    public mutating func merge(_ later: LeaseChanges) {
        if isEmpty {
            self = later
            return
        }
        for (key, lease) in later.updated { update(lease, at: key) }
        for key in later.removed { remove(key) }
    }

    /// Takes back an earlier removal of the same key.
    public mutating func update(_ lease: Lease) { update(lease, at: lease.key) }

    /// Takes back an earlier update of the same key.
    public mutating func remove(_ key: SubnetKey) {
        updated[key] = nil
        removed.insert(key)
    }

    private mutating func update(_ lease: Lease, at key: SubnetKey) {
        removed.remove(key)
        updated[key] = lease
    }
}
