import Leases

/// When the daemon learnt of each peer. Those of the first reading share one time: thousands are not kept apart.
struct PeerAges: Sendable {
    private let start = ContinuousClock.now
    private var later: [SubnetKey: ContinuousClock.Instant] = [:]

    /// - Parameter knows: whether a lease was known before; one that changes keeps its age.
    mutating func follow(_ changes: LeaseChanges, knows: (SubnetKey) -> Bool) {
        for key in changes.removed { later[key] = nil }
        for key in changes.updated.keys where !knows(key) { later[key] = .now }
    }

    /// Whole seconds.
    func seconds(of key: SubnetKey) -> Int {
        Int((.now - (later[key] ?? start)).components.seconds)
    }
}
