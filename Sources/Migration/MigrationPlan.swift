import EtcdRegistry
import IPNetwork
import Leases

/// What is to be done so that both registries say the same; pure.
///
/// The side on which a key was last written by somebody else leads, and the other gets its value and what is left of its
/// time to live, or loses it. So it makes no difference where an earlier run was stopped, and a host may go back.
public struct MigrationPlan: Hashable, Sendable {
    /// The config's, then the leases' by subnet; those that nothing is known of any more are left out.
    public let items: [MigrationItem]
    /// In the order in which they are done. The config is created last: a daemon that finds it allocates at once, and has
    /// to find the leases by then.
    public let steps: [MigrationStep]
    /// Leases that are not looked at, since the config is in conflict.
    public let waitingLeases: Int

    /// A copy with less to live is not made. It must be more than etcd's shortest time to live, 2 seconds, or an ended
    /// lease would go to and fro for ever.
    static let shortest = Duration.seconds(5)

    /// What needs an operator.
    public var conflicts: [MigrationItem] { items.filter(\.isConflict) }

    /// - Parameter now: deadlines are looked at as of this instant.
    public init(v2: MigrationSnapshot, v3: MigrationSnapshot, now: ContinuousClock.Instant) {
        let config = ConfigDecision(KeyState(v2: v2.config, v3: v3.config, note: v3.notes[.config]))
        let names = Set(v2.leases.keys).union(v3.leases.keys).union(v3.notes.keys.compactMap(\.leaseName))
        if config.item.isConflict {
            items = [config.item]
            steps = []
            waitingLeases = names.count
            return
        }
        var decisions: [LeaseDecision] = names.map { name in
            LeaseDecision(
                name, KeyState(v2: v2.leases[name], v3: v3.leases[name], note: v3.notes[.lease(name)]), now: now)
        }
        let creates = decisions.indices.filter { decisions[$0].createsOn != nil }
        if !creates.isEmpty {
            let occupied = Occupied(v2: v2, v3: v3, except: decisions)
            for index in creates { decisions[index].check(occupied) }
        }
        decisions.sort { $0.rank < $1.rank }
        let isHeldBack = config.creates && decisions.contains { $0.item?.isConflict == true }
        let configItem = isHeldBack ? config.waiting : config.item
        items = [configItem] + decisions.compactMap(\.item)
        let configSteps = isHeldBack ? [] : [config.step].compactMap(\.self)
        let removals = decisions.compactMap(\.step).filter(\.isRemoval)
        let others = decisions.compactMap(\.step).filter { !$0.isRemoval }
        steps = config.creates ? removals + others + configSteps : configSteps + removals + others
        waitingLeases = 0
    }
}

extension MigrationStep {
    /// What is removed makes room for what comes.
    fileprivate var isRemoval: Bool {
        if case .remove = action { true } else { false }
    }
}

extension MigrationSubject {
    var leaseName: String? {
        if case .lease(let name) = self { name } else { nil }
    }
}
