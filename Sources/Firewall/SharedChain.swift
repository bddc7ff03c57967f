import IPNetwork

/// Whose a rule in one of flannel's chains is: each names its network, or a subnet of it.
enum RuleOwnership: Hashable {
    /// Rules of these networks.
    case of([IPPrefix])
    /// Rules of every network but these.
    case ofAllBut([IPPrefix])

    /// - Parameter prefixes: what a rule names; not empty.
    func owns(_ prefixes: [IPPrefix]) -> Bool {
        switch self {
        case .of(let networks): prefixes.contains { Self.lies($0, in: networks) }
        case .ofAllBut(let networks): !prefixes.contains { Self.lies($0, in: networks) }
        }
    }

    private static func lies(_ prefix: IPPrefix, in networks: [IPPrefix]) -> Bool {
        networks.contains { $0.length <= prefix.length && $0.contains(prefix.address) }
    }
}

/// One network's rules for a chain that those of other networks stand in too.
struct ChainRules<Text: Hashable>: Hashable {
    /// Of no network, and the same for all: they come first, once.
    var common: [Text] = []
    /// Before the late rules of every network.
    var early: [Text] = []
    /// Behind the early rules of every network.
    var late: [Text] = []

    var isEmpty: Bool { early.isEmpty && late.isEmpty }
    var all: [Text] { isEmpty ? [] : common + early + late }

    func map<Other>(_ transform: (Text) -> Other) -> ChainRules<Other> {
        ChainRules<Other>(
            common: common.map(transform), early: early.map(transform), late: late.map(transform))
    }
}

/// What of a rule's text tells whose it is and where it belongs.
struct RuleTraits: Hashable {
    /// The networks, subnets and addresses that it names; multicast is nobody's.
    var prefixes: [IPPrefix] = []
    /// Whether it belongs behind the early rules of every network.
    var isLate = false
    /// Whether it is marked as flannel's, where the tool's rules are.
    var isMarked = true
}

/// A chain with flannel's name, which the daemons of several networks share, stock ones among them: each puts its own
/// network's rules there, and leaves those of others as they are.
struct SharedChain<Text: Hashable> {
    /// Empty when the network has no rules in the chain.
    let wanted: ChainRules<Text>
    let ownership: RuleOwnership
    let traits: (Text) -> RuleTraits

    enum Change: Hashable {
        /// Nothing to do.
        case none
        /// Take away the rules at these places; then put the network's rules, if any.
        case edit(removing: [Int])
        /// Take the chain away: no rule of another network's is in it.
        case remove
    }

    private enum Kind {
        case common
        case own
        /// Another network's.
        case others
        /// Nobody's whom flannel's chains are for.
        case stray
    }

    private func kind(_ rule: Text) -> Kind {
        if wanted.common.contains(rule) { return .common }
        let traits = traits(rule)
        if traits.prefixes.isEmpty { return .stray }
        if ownership.owns(traits.prefixes) { return .own }
        return traits.isMarked ? .others : .stray
    }

    /// Whether rules of other networks are among `rules`.
    func isShared(_ rules: [Text]) -> Bool { rules.contains { kind($0) == .others } }

    /// What to do about the chain as it is.
    ///
    /// - Parameter rules: `nil` when there is no such chain.
    func change(_ rules: [Text]?) -> Change {
        guard let rules else { return wanted.isEmpty ? .none : .edit(removing: []) }
        let kinds = rules.map(kind)
        if wanted.isEmpty {
            guard kinds.contains(.others) else { return .remove }
            let own = kinds.indices.filter { kinds[$0] == .own }
            return own.isEmpty ? .none : .edit(removing: own)
        }
        if isRight(rules, kinds) { return .none }
        return .edit(removing: kinds.indices.filter { kinds[$0] != .others })
    }

    private func isRight(_ rules: [Text], _ kinds: [Kind]) -> Bool {
        let own = kinds.indices.filter { kinds[$0] == .own }
        guard
            !kinds.contains(.stray), own.map({ rules[$0] }) == wanted.early + wanted.late,
            rules.starts(with: wanted.common), kinds.count(where: { $0 == .common }) == wanted.common.count
        else { return false }
        guard !wanted.early.isEmpty, let firstLate = kinds.indices.first(where: { isLateOfOthers(rules, kinds, $0) })
        else { return true }
        return own[wanted.early.count - 1] < firstLate
    }

    private func isLateOfOthers(_ rules: [Text], _ kinds: [Kind], _ index: Int) -> Bool {
        kinds[index] == .others && traits(rules[index]).isLate
    }
}

extension IPPrefix {
    /// Within 224.0.0.0/4 or ff00::/8.
    var isMulticast: Bool {
        IPFamily.allCases.compactMap(\.multicast).contains { $0.length <= length && $0.contains(address) }
    }
}
