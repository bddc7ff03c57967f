import EtcdRegistry
import IPNetwork
import Leases

/// What is to happen to one lease.
struct LeaseDecision {
    let name: String
    let key: SubnetKey?
    private let state: KeyState
    private let now: ContinuousClock.Instant
    private(set) var item: MigrationItem?
    private(set) var step: MigrationStep?

    init(_ name: String, _ state: KeyState, now: ContinuousClock.Instant) {
        self.name = name
        self.state = state
        self.now = now
        key = SubnetKey(name)
        let isGone = state.v2 == nil && state.v3 == nil
        guard key != nil || isGone else {
            conclude(.skipped(reason: "the key's name is no subnet"), nil, state.v2 ?? state.v3)
            return
        }
        decide()
    }

    /// By subnet; what is none comes last.
    var rank: (Int, UInt32, String) { (key == nil ? 1 : 0, key?.ipv4?.address.rawValue ?? .max, name) }

    /// The side that would get it and has none of this name.
    var createsOn: MigrationSide? {
        if case .create(let side)? = item?.verdict { side } else { nil }
    }

    var removesFrom: MigrationSide? {
        if case .remove(let side)? = item?.verdict { side } else { nil }
    }

    private mutating func decide() {
        switch state.relation {
        case .nothing: break
        case .forget: step = makeStep(.forget, MigrationItem(.lease(name), .forget, nil, now))
        case .remove(let side):
            guard let entry = state[side] else { return }
            // On v2 it takes a moment until it is gone.
            guard !endsSoon(entry) else { return conclude(.endsSoon, nil, entry) }
            conclude(.remove(from: side), .remove(entry, from: side), entry)
        case .follow(let side, let replaces): follow(side, replaces: replaces)
        case .undecided: choose()
        }
    }

    private mutating func follow(_ side: MigrationSide, replaces: Bool) {
        guard let source = state[side] else { return }
        guard !endsSoon(source) else { return conclude(.endsSoon, nil, source) }
        guard let target = state[side.other] else {
            if let reason = malformed(source) { return conclude(.skipped(reason: reason), nil, source) }
            return conclude(.create(on: side.other), .copy(source: source, to: side.other, revision: 0), source)
        }
        if let content = Content(source, target) {
            if let reason = malformed(source) { return conclude(.skipped(reason: reason), nil, source) }
            // A copy is no host's, whatever it says.
            if replaces, content != .otherValues, !endsSoon(target) { return conflict(content) }
            return update(side, source, target, .update(on: side.other))
        }
        if !hasTimeOf(source, target) { return update(side, source, target, .extend(on: side.other)) }
        let note = MigrationNote(
            origin: side, v2: state.v2?.revision ?? 0, v3: state.v3?.revision ?? 0)
        conclude(.same(origin: side), state.isNoted(note) ? nil : .note(note), source)
    }

    private func malformed(_ entry: MigrationEntry) -> String? {
        do throws(LeaseCodec.MalformedValue) {
            _ = try LeaseCodec.attributes(entry.value)
            return nil
        } catch {
            return error.reason
        }
    }

    private mutating func update(
        _ side: MigrationSide, _ source: MigrationEntry, _ target: MigrationEntry, _ verdict: MigrationItem.Verdict
    ) {
        conclude(verdict, .copy(source: source, to: side.other, revision: target.revision), source)
    }

    /// Both sides were written. Each write of a daemon gives a lease its whole time to live, the same on both sides, so
    /// that the one with more left is the later one. Equal ones are v3's: it is where hosts move to, and where the leases
    /// come from of a run that was stopped between a copy to v2 and its note.
    private mutating func choose() {
        guard let v2 = state.v2, let v3 = state.v3 else { return }
        if endsSoon(v2), endsSoon(v3) { return conclude(.endsSoon, nil, v3) }
        let content = Content(v2, v3)
        if content == .otherHost || content == .unreadable, !endsSoon(v2), !endsSoon(v3) { return conflict(content) }
        switch (v2.deadline, v3.deadline) {
        case (nil, nil):
            if content == .otherValues { return conflict(content) }
            follow(state.note == nil ? .v2 : .v3, replaces: false)
        case (nil, _?), (_?, nil):
            if content == .otherValues { return conflict(content) }
            follow(v2.deadline == nil ? .v2 : .v3, replaces: false)
        case (let left?, let right?):
            follow(left > right + Self.leastDifference ? .v2 : .v3, replaces: false)
        }
    }

    private mutating func conflict(_ content: Content?) {
        let reason: String
        switch content {
        case .otherHost: reason = "\(described(.v2)), but \(described(.v3))"
        case .unreadable: reason = "one side's value can't be read"
        default: reason = "two reservations, or a reservation and a lease, say different things of one host"
        }
        conclude(
            .conflict(
                reason: reason,
                remedy: "delete the wrong one (v2: ETCDCTL_API=2 etcdctl rm KEY; v3: etcdctl del KEY) after its host's "
                    + "daemon is stopped; started again, that host takes another subnet"), nil, state.v2)
    }

    private func described(_ side: MigrationSide) -> String {
        "\(side) has it for \(state[side].flatMap { PublicAddress($0.value)?.description } ?? "nobody")"
    }

    /// Looks whether another lease is in the way of a new copy.
    mutating func check(_ occupied: Occupied) {
        guard let key, let side = createsOn, let source = state[side.other] else { return }
        guard let (other, reason) = occupied.obstacle(to: key, PublicAddress(source.value), on: side) else { return }
        conclude(
            .conflict(
                reason: "\(side) has \(other), \(reason)",
                remedy: "delete the one that its host does not use (`FLANNEL_SUBNET` in the host's subnet.env is the "
                    + "one in use), on the side where it is; then run this again"), nil, source)
    }

    private func endsSoon(_ entry: MigrationEntry) -> Bool {
        entry.deadline.map { $0 - now < MigrationPlan.shortest } ?? false
    }

    /// Seconds are rounded up to three times on the way.
    static let leastDifference = Duration.seconds(4)

    /// Whether a copy lives as long as its original, or near enough. One that lives longer, which a new leader of etcd
    /// brings about, is left: it is removed with its original.
    private func hasTimeOf(_ source: MigrationEntry, _ copy: MigrationEntry) -> Bool {
        switch (source.deadline, copy.deadline) {
        case (nil, nil): return true
        case (nil, _?), (_?, nil): return false
        case (let wanted?, let found?):
            let slack = min(max((wanted - now) / 20, Self.leastDifference), .seconds(60))
            return wanted - found <= slack
        }
    }

    private mutating func conclude(
        _ verdict: MigrationItem.Verdict, _ action: MigrationStep.Action?, _ entry: MigrationEntry?
    ) {
        let item = MigrationItem(.lease(name), verdict, entry, now)
        self.item = item
        step = action.map { makeStep($0, item) }
    }

    private func makeStep(_ action: MigrationStep.Action, _ item: MigrationItem) -> MigrationStep {
        MigrationStep(
            subject: .lease(name), action: action, noteRevision: state.noteEntry?.revision ?? 0, note: state.stored,
            item: item)
    }
}

extension MigrationItem {
    fileprivate init(
        _ subject: MigrationSubject, _ verdict: Verdict, _ entry: MigrationEntry?, _ now: ContinuousClock.Instant
    ) {
        self.init(
            subject: subject, verdict: verdict, host: entry.flatMap { PublicAddress($0.value)?.description },
            remaining: entry?.deadline.map { $0 - now }, isReservation: entry.map { $0.deadline == nil } ?? false)
    }
}

/// How two values differ; nothing when daemons read the same from both.
private enum Content {
    case otherHost
    case otherValues
    case unreadable

    init?(_ left: MigrationEntry, _ right: MigrationEntry) {
        if left.value == right.value { return nil }
        guard
            let left = try? LeaseCodec.attributes(left.value), let right = try? LeaseCodec.attributes(right.value)
        else {
            self = .unreadable
            return
        }
        if left == right { return nil }
        self = PublicAddress(left) == PublicAddress(right) ? .otherValues : .otherHost
    }
}
