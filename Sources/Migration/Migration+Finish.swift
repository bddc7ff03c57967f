import EtcdRegistry
import Leases

/// What is left to do when no host is on v2 any more.
public struct MigrationEnd: Hashable, Sendable {
    /// Leases that a v2 daemon holds; as long as there are some, nothing is to be ended.
    public let onV2: [MigrationItem]
    /// Reservations of v2 that no host on v3 has written: whether one on v2 uses them can't be told.
    public let reservations: [MigrationItem]
    /// Copies in v2, which are removed.
    public let copies: [String]
    /// Notes in v3, which are removed.
    public let noteCount: Int
    /// What stands against it.
    public let conflicts: [MigrationItem]

    /// Whether it may be ended.
    public var isAllowed: Bool { onV2.isEmpty && conflicts.isEmpty }
}

extension Migration {
    /// What ``finish()`` would do.
    public func planEnd() async throws -> MigrationEnd {
        try await once { pass in try await pass.look().end }
    }

    /// Removes the copies of v3's leases from v2, and the notes.
    ///
    /// - Returns: What is left; nothing was done if it was not allowed.
    public func finish() async throws -> MigrationEnd {
        try await once { pass in
            let view = try await pass.look()
            guard view.end.isAllowed else { return view.end }
            // Copies first: a note tells that it is one.
            for name in view.end.copies {
                guard let entry = view.v2.leases[name] else { continue }
                let write = MigrationWrite(.lease(name), value: entry.value, .remove, ifAt: entry.revision)
                _ = try await pass.write(write, on: .v2)
            }
            for (subject, note) in view.v3.notes { try await pass.forget(subject, note) }
            return try await pass.look().end
        }
    }
}

extension MigrationPass.View {
    fileprivate var end: MigrationEnd {
        func states(_ isWanted: (KeyState) -> Bool) -> Set<String> {
            Set(
                v2.leases.keys.filter { name in
                    isWanted(KeyState(v2: v2.leases[name], v3: v3.leases[name], note: v3.notes[.lease(name)]))
                })
        }
        let led = states { state in
            guard case .follow(.v2, _) = state.relation else { return false }
            return true
        }
        let copies = states { state in
            state.note?.origin == .v3 && state.v2?.revision == state.note?.v2 && state.v2?.deadline != nil
        }
        let items = plan.items.filter { item in item.subject.leaseName.map(led.contains) ?? false }
        let left = items.filter { $0.verdict != .endsSoon }
        return MigrationEnd(
            onV2: left.filter { !$0.isReservation }, reservations: left.filter(\.isReservation),
            copies: copies.sorted(), noteCount: v3.notes.count, conflicts: plan.conflicts)
    }
}
