import EtcdRegistry
import Leases

/// What is to happen to the config.
struct ConfigDecision {
    let item: MigrationItem
    let step: MigrationStep?
    /// The item while leases are in conflict.
    let waiting: MigrationItem
    /// It comes to a side that had none.
    let creates: Bool

    init(_ state: KeyState) {
        let (verdict, action) = Self.decide(state)
        item = Self.item(verdict)
        waiting = Self.item(.waits)
        step = action.map {
            MigrationStep(
                subject: .config, action: $0, noteRevision: state.noteEntry?.revision ?? 0, note: state.stored,
                item: Self.item(verdict))
        }
        if case .create = verdict { creates = true } else { creates = false }
    }

    private static func item(_ verdict: MigrationItem.Verdict) -> MigrationItem {
        MigrationItem(subject: .config, verdict: verdict, host: nil, remaining: nil, isReservation: false)
    }

    private static func decide(_ state: KeyState) -> (MigrationItem.Verdict, MigrationStep.Action?) {
        guard let v2 = state.v2 else {
            return conflict(
                state.note == nil ? "v2 has no network config" : "the network config is gone from v2",
                "check --etcd-endpoints (or --from-endpoints) and --etcd-prefix, and that etcd runs with --enable-v2. "
                    + "When no host is left on v2: weft migrate --finish, before v2 is emptied")
        }
        guard let v3 = state.v3 else {
            if state.note != nil {
                return conflict("the network config is gone from v3", "put it back; no lease is touched without it")
            }
            if let reason = unusable(v2) { return conflict("v2's config can't be used: \(reason)", "correct it in v2") }
            return (.create(on: .v3), .copy(source: v2, to: .v3, revision: 0))
        }
        if isSame(v2, v3) {
            let origin = state.note?.origin ?? .v2
            let note = MigrationNote(origin: origin, v2: v2.revision, v3: v3.revision)
            return (.same(origin: origin), state.isNoted(note) ? nil : .note(note))
        }
        guard case .follow(let origin, _) = state.relation, let source = state[origin],
            let target = state[origin.other]
        else {
            return conflict(
                "v2 and v3 hold different configs",
                "make them equal, on the side that is wrong; nothing is copied before")
        }
        if let reason = unusable(source) {
            return conflict("\(origin)'s new config can't be used: \(reason)", "correct it in \(origin)")
        }
        return (.update(on: origin.other), .copy(source: source, to: origin.other, revision: target.revision))
    }

    private static func conflict(_ reason: String, _ remedy: String) -> (MigrationItem.Verdict, MigrationStep.Action?) {
        (.conflict(reason: reason, remedy: remedy), nil)
    }

    /// Whether daemons would read the same from both.
    private static func isSame(_ left: MigrationEntry, _ right: MigrationEntry) -> Bool {
        if left.value == right.value { return true }
        guard let left = try? NetworkConfig(json: left.value) else { return false }
        return left == (try? NetworkConfig(json: right.value))
    }

    private static func unusable(_ entry: MigrationEntry) -> String? {
        do throws(ConfigError) {
            _ = try NetworkConfig(json: entry.value)
            return nil
        } catch {
            return error.description
        }
    }
}
