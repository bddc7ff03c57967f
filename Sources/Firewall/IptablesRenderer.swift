import IPNetwork

/// Turns a ``Ruleset`` into input for `iptables-restore --noflush`, as the difference to what is there.
struct IptablesRenderer: Sendable {
    /// How much of the ruleset belongs into a plane.
    enum Scope: Hashable, Sendable {
        /// The plane that was chosen for Weft's rules.
        case full
        /// Another plane, where just the accepting of overlay traffic is needed, and only if something may drop it.
        case forwardWhereDropped
        /// A plane that holds nothing of Weft's.
        case nothing
    }

    let ruleset: Ruleset
    let family: IPFamily

    static let postroutingChain = "FLANNEL-POSTRTG"
    static let forwardChain = "FLANNEL-FWD"

    /// One table's part of the wanted state.
    private struct Part {
        var table: String
        var baseChain: String
        var ownChain: String
        var comment: String
        /// Empty when the plane should hold none of this network's.
        var rules: ChainRules<[String]>
        /// What flannel before v0.20 put right into the base chain.
        var formerRules: Set<[String]>

        var jump: [String] { ["-m", "comment", "--comment", comment, "-j", ownChain] }
    }

    /// The input that makes `current` right, or `nil` when it is right already.
    ///
    /// Tables in which nothing changes are left out, so an unaffected table sees no transaction.
    func restoreInput(current: IptablesState, scope: Scope) -> String? {
        let text = parts(current, scope).compactMap { changes($0, current) }.joined()
        return text.isEmpty ? nil : text
    }

    /// Whether a chain of the forward path may drop: its policy does, or it holds a rule of somebody else's.
    private func mayDropForwarded(_ current: IptablesState) -> Bool {
        guard let chain = current.chain("filter", "FORWARD") else { return false }
        let former = formerForwardRules(current)
        return chain.policy == "DROP"
            || chain.rules.contains { IptablesState.target($0) != Self.forwardChain && !former.contains($0) }
    }

    private func parts(_ current: IptablesState, _ scope: Scope) -> [Part] {
        let wantsForward =
            switch scope {
            case .full: true
            case .forwardWhereDropped: mayDropForwarded(current)
            case .nothing: false
            }
        let (masquerading, forward) = ("flanneld masq", "flanneld forward")
        return [
            Part(
                table: "nat", baseChain: "POSTROUTING", ownChain: Self.postroutingChain, comment: masquerading,
                rules: (scope == .full ? ruleset : ruleset.withoutRules).postroutingRules(family)
                    .map { words($0, masquerading) },
                formerRules: formerPostroutingRules(current)),
            Part(
                table: "filter", baseChain: "FORWARD", ownChain: Self.forwardChain, comment: forward,
                rules: (wantsForward ? ruleset : ruleset.withoutRules).forwardRules(family).map { words($0, forward) },
                formerRules: formerForwardRules(current)),
        ]
    }

    private func changes(_ part: Part, _ current: IptablesState) -> String? {
        let base = current.chain(part.table, part.baseChain)?.rules ?? []
        let own = current.chain(part.table, part.ownChain)
        let isJump = { (rule: [String]) in IptablesState.target(rule) == part.ownChain }
        let isFormer = { (rule: [String]) in part.formerRules.contains(rule) }
        let others = base.filter { !isJump($0) && !isFormer($0) }
        let position = Self.leadingOperatorJumps(others)
        let chain = SharedChain(wanted: part.rules, ownership: ruleset.ownership(family)) {
            Self.traits($0, comment: part.comment)
        }
        let change = chain.change(own?.rules)
        // A chain that another chain still jumps to cannot be deleted; it stays, empty.
        let isReferenced = current.tables[part.table, default: [:]].contains { name, chain in
            name != part.baseChain && chain.rules.contains(where: isJump)
        }

        var lines = Self.lines(change, part, own?.rules, keepsChain: isReferenced)
        // With no rules here the jump is the matter of the networks that have some.
        let isOthers = part.rules.isEmpty && chain.isShared(own?.rules ?? [])
        let wantedBase =
            isOthers
            ? base.filter { !isFormer($0) }
            : part.rules.isEmpty ? others : others[..<position] + [part.jump] + others[position...]
        if base != wantedBase {
            lines += base.filter { isFormer($0) || isJump($0) && !isOthers }
                .map { IptablesState.line(["-D", part.baseChain] + $0) }
            if !part.rules.isEmpty {
                lines.append(IptablesState.line(["-I", part.baseChain, "\(position + 1)"] + part.jump))
            }
        }
        if change == .remove, !isReferenced { lines.append("-X \(part.ownChain)") }
        return lines.isEmpty ? nil : "*\(part.table)\n\(lines.joined(separator: "\n"))\nCOMMIT\n"
    }

    /// The lines that change the chain itself. None touches a rule that was not read, so that two daemons which write at
    /// the same moment lose nothing: the second one's transaction fails, and is made anew.
    private static func lines(
        _ change: SharedChain<[String]>.Change, _ part: Part, _ rules: [[String]]?, keepsChain: Bool
    ) -> [String] {
        let delete = { (rule: [String]) in IptablesState.line(["-D", part.ownChain] + rule) }
        let append = { (rule: [String]) in IptablesState.line(["-A", part.ownChain] + rule) }
        switch (change, rules) {
        case (.none, _): return []
        case (.edit, nil): return ["-N \(part.ownChain)"] + part.rules.all.map(append)
        case (.edit(let removed), let rules?):
            // iptables-nft 1.8 cannot insert behind what the same transaction inserts, so the last one comes first.
            let first = part.rules.isEmpty ? [] : (part.rules.common + part.rules.early).reversed()
            return removed.map { delete(rules[$0]) }
                + first.map { IptablesState.line(["-I", part.ownChain, "1"] + $0) } + part.rules.late.map(append)
        case (.remove, let rules):
            if keepsChain, rules?.isEmpty != false { return [] }
            let rules = rules ?? []
            if rules.allSatisfy({ traits($0, comment: part.comment).isMarked }) { return rules.map(delete) }
            // What is not flannel's may be a rule that cannot be told back to iptables word for word.
            return [":\(part.ownChain) - [0:0]"]
        }
    }

    /// What a rule in one of flannel's chains tells of itself.
    ///
    /// - Parameter comment: what flannel and Weft write to each of their rules in the chain.
    static func traits(_ rule: [String], comment: String) -> RuleTraits {
        var traits = RuleTraits(isMarked: rule.contains(comment))
        var hasInterface = false
        for index in rule.indices.dropLast() {
            switch rule[index] {
            case "-s", "-d":
                guard let prefix = IPPrefix(rule[index + 1]), !prefix.isMulticast else { continue }
                traits.prefixes.append(prefix)
                if rule[index] == "-s", index > 0, rule[index - 1] == "!" { traits.isLate = true }
            case "-i", "-o": hasInterface = true
            default: continue
            }
        }
        if IptablesState.target(rule) == "ACCEPT", !hasInterface { traits.isLate = true }
        return traits
    }

    /// How many rules at the head of a base chain go before Weft's jump.
    ///
    /// Weft's jump is first, so that no rule of Docker's drops overlay traffic. Only a jump to DOCKER-USER may stand
    /// before it: Docker puts that jump back on top whenever it makes a network, so insisting would be a tug-of-war,
    /// and it is where an operator puts rules that are meant to win. The accepting rules are not put into DOCKER-USER
    /// itself, since that chain is the operator's and goes away with Docker.
    private static func leadingOperatorJumps(_ rules: [[String]]) -> Int {
        rules.prefix { $0 == ["-j", "DOCKER-USER"] }.count
    }

    /// A rule in the order of words in which `iptables-save` prints it, so that the two can be compared.
    func words(_ rule: Rule, _ comment: String?) -> [String] {
        var words: [String] = []
        func add(_ option: String, _ match: Rule.Match?) {
            switch match {
            case .inside(let prefix): words += [option, "\(prefix)"]
            case .outside(let prefix): words += ["!", option, "\(prefix)"]
            case nil: break
            }
        }
        add("-s", rule.source)
        add("-d", rule.destination)
        if let input = rule.input { words += ["-i", input.text] }
        if let output = rule.output { words += ["-o", output.text] }
        if rule.hasKubeProxyMark {
            let mark = "0x" + String(Ruleset.kubeProxyMark, radix: 16)
            words += ["-m", "mark", "--mark", "\(mark)/\(mark)"]
        }
        if let comment { words += ["-m", "comment", "--comment", comment] }
        switch rule.verdict {
        case .accept: words += ["-j", "ACCEPT"]
        case .drop: words += ["-j", "DROP"]
        case .return: words += ["-j", "RETURN"]
        case .masquerade(let randomFully): words += ["-j", "MASQUERADE"] + (randomFully ? ["--random-fully"] : [])
        }
        return words
    }

    /// The two accept rules that flannel before v0.20 kept in FORWARD, where they are surely its: with its comment (from
    /// v0.17 on), or without one behind each other, each there once, and its rules in POSTROUTING there as well. Alone the
    /// latter may be an operator's, and stay: behind Weft's they do no harm. Without forward rules of Weft's they stay too,
    /// since nothing would take their place.
    private func formerForwardRules(_ current: IptablesState) -> Set<[String]> {
        guard ruleset.forward, let network = ruleset.overlay(family)?.network else { return [] }
        let pair = [
            Rule(source: .inside(network), verdict: .accept), Rule(destination: .inside(network), verdict: .accept),
        ]
        let commented = Set(pair.map { words($0, "flanneld forward") })
        let plain = pair.map { words($0, nil) }
        let formerPostrouting = formerPostroutingRules(current)
        guard
            current.chain("nat", "POSTROUTING")?.rules.contains(where: formerPostrouting.contains) == true,
            let rules = current.chain("filter", "FORWARD")?.rules,
            let first = rules.firstIndex(of: plain[0]), rules.dropFirst(first + 1).first == plain[1],
            rules.count(where: plain.contains) == 2
        else { return commented }
        return commented.union(plain)
    }

    /// The rules that flannel before v0.20 kept in POSTROUTING for this network, outside of a chain of its own; from v0.17
    /// on with a comment. Those without one may be an operator's, unless the one that spares multicast, which nobody else
    /// would write so, stands there too.
    private func formerPostroutingRules(_ current: IptablesState) -> Set<[String]> {
        guard let overlay = ruleset.overlay(family) else { return [] }
        let network = overlay.network
        var rules = [Rule(source: .inside(network), destination: .inside(network), verdict: .return)]
        rules += (overlay.ownSubnets + overlay.lostSubnets).map {
            Rule(source: .outside(network), destination: .inside($0), verdict: .return)
        }
        var signatures: Set<[String]> = []
        for randomFully in [false, true] {
            let hide = Rule.Verdict.masquerade(randomFully: randomFully)
            let signature = Rule(
                source: .inside(network), destination: family.multicast.map(Rule.Match.outside), verdict: hide)
            signatures.insert(words(signature, nil))
            rules.append(signature)
            rules.append(Rule(source: .outside(network), destination: .inside(network), verdict: hide))
        }
        let commented = Set(rules.map { words($0, "flanneld masq") })
        let isFlannels = current.chain("nat", "POSTROUTING")?.rules.contains(where: signatures.contains) == true
        return isFlannels ? commented.union(rules.map { words($0, nil) }) : commented
    }
}
