import IPNetwork

/// Turns a ``Ruleset`` into a script for `nft -f -`: one transaction, this network's rules in the two tables that all
/// networks on the host share, and nothing else.
struct NftablesRenderer: Sendable {
    let ruleset: Ruleset
    /// How this host's nft prints rules that it prints in another way than ``text(_:_:)``.
    var printed: [String: String] = [:]

    static let forwardChain = "forward"
    static let postroutingChain = "postrtg"

    static func table(_ family: IPFamily) -> NftablesListing.TableKey {
        .init(family: family.nftablesName, name: "flannel-\(family.rawValue)")
    }

    /// A chain of a table, with what this network wants in it.
    private struct Part {
        var name: String
        var hook: String
        var rules: ChainRules<String>
    }

    private func parts(_ family: IPFamily) -> [Part] {
        [
            Part(
                // Never a policy of drop: it would cut off whatever else the host forwards.
                name: Self.forwardChain, hook: "type filter hook forward priority 0; policy accept;",
                rules: ruleset.forwardRules(family).map { Self.text($0, family) }),
            Part(
                name: Self.postroutingChain, hook: "type nat hook postrouting priority 100; policy accept;",
                rules: ruleset.postroutingRules(family).map { Self.text($0, family) }),
        ]
    }

    /// The script that makes one family's table right, or `nil` when it is right already.
    ///
    /// It names each rule that goes by its handle, so that of two daemons which write at the same moment none takes away
    /// what it has not read: the second one's transaction fails, and is made anew.
    func script(_ family: IPFamily, current: NftablesListing) -> String? {
        let key = Self.table(family)
        let table = "\(key.family) \(key.name)"
        let chains = current.tables[key]
        let parts = parts(family)
        let isWanted = parts.contains { !$0.rules.isEmpty }
        let isShared = parts.contains { part in
            shared(part, family).isShared(chains?[part.name]?.rules ?? [])
        }
        guard isWanted || isShared else {
            return chains == nil ? nil : Self.lines("add table", "delete table", table: table)
        }
        var lines = parts.flatMap { self.lines($0, table, chains?[$0.name], family) }
        if isWanted, let chains {
            let strays = chains.keys.filter { name in !parts.contains { $0.name == name } }.sorted()
            lines += strays.map { "flush chain \(table) \($0)" } + strays.map { "delete chain \(table) \($0)" }
        }
        if lines.isEmpty { return nil }
        return ((chains == nil ? ["add table \(table)"] : []) + lines).joined(separator: "\n") + "\n"
    }

    /// Adding first makes the deletion succeed whether or not the table was there; all in one transaction.
    private static func lines(_ commands: String..., table: String) -> String {
        commands.map { "\($0) \(table)\n" }.joined()
    }

    /// The script that makes `current` right in both families, or `nil` when it is right already.
    func script(current: NftablesListing) -> String? {
        let text = IPFamily.allCases.compactMap { script($0, current: current) }.joined()
        return text.isEmpty ? nil : text
    }

    private func shared(_ part: Part, _ family: IPFamily) -> SharedChain<String> {
        SharedChain(
            wanted: part.rules.map { printed[$0] ?? $0 }, ownership: ruleset.ownership(family), traits: Self.traits)
    }

    private func lines(
        _ part: Part, _ table: String, _ chain: NftablesListing.Chain?, _ family: IPFamily
    ) -> [String] {
        let name = "\(table) \(part.name)"
        // Refused where another daemon has made it meanwhile; its rules have to be read first.
        let create = ["create chain \(name) { \(part.hook) }"] + part.rules.all.map { "add rule \(name) \($0)" }
        guard let chain else { return part.rules.isEmpty ? [] : create }
        // A chain that somebody put elsewhere serves no network.
        if chain.hook != part.hook, !part.rules.isEmpty {
            return ["flush chain \(name)", "delete chain \(name)"] + create
        }
        switch shared(part, family).change(chain.rules) {
        case .none: return []
        case .remove: return ["flush chain \(name)", "delete chain \(name)"]
        case .edit(let removed):
            guard chain.handles.count == chain.rules.count else {
                return ["flush chain \(name)"] + create.dropFirst()
            }
            let first = part.rules.isEmpty ? [] : (part.rules.common + part.rules.early).reversed()
            return removed.map { "delete rule \(name) handle \(chain.handles[$0])" }
                + first.map { "insert rule \(name) \($0)" } + part.rules.late.map { "add rule \(name) \($0)" }
        }
    }

    /// What a rule in one of the tables tells of itself.
    static func traits(_ rule: String) -> RuleTraits {
        var traits = RuleTraits()
        let words = rule.split(separator: " ").map(String.init)
        for index in words.indices where words[index] == "saddr" || words[index] == "daddr" {
            let isNegated = words.dropFirst(index + 1).first == "!="
            guard let text = words.dropFirst(index + (isNegated ? 2 : 1)).first else { continue }
            // A whole address stands without its length.
            let length = text.contains(":") ? IPv6Address.bitWidth : IPv4Address.bitWidth
            guard let prefix = IPPrefix(text) ?? IPPrefix("\(text)/\(length)"), !prefix.isMulticast else { continue }
            traits.prefixes.append(prefix)
            if words[index] == "saddr", isNegated { traits.isLate = true }
        }
        if words.last == "accept", !words.contains("iifname"), !words.contains("oifname") { traits.isLate = true }
        return traits
    }

    /// A rule as `nft -n` prints it, so that the two can be compared.
    static func text(_ rule: Rule, _ family: IPFamily) -> String {
        var words: [String] = []
        if rule.hasKubeProxyMark {
            let mark = "0x" + String(Ruleset.kubeProxyMark, radix: 16)
            words.append("meta mark & \(mark) == \(mark)")
        }
        if let input = rule.input { words.append("iifname \"\(input.text)\"") }
        if let output = rule.output { words.append("oifname \"\(output.text)\"") }
        words += [("saddr", rule.source), ("daddr", rule.destination)].compactMap { field, match in
            switch match {
            case .inside(let prefix): "\(family.nftablesName) \(field) \(text(prefix))"
            case .outside(let prefix): "\(family.nftablesName) \(field) != \(text(prefix))"
            case nil: nil
            }
        }
        switch rule.verdict {
        case .accept: words.append("accept")
        case .drop: words.append("drop")
        case .return: words.append("return")
        case .masquerade(let randomFully): words.append(randomFully ? "masquerade fully-random" : "masquerade")
        }
        return words.joined(separator: " ")
    }

    /// nft prints a whole address without its length.
    private static func text(_ prefix: IPPrefix) -> String {
        let isHost = prefix.length == (prefix.isIPv6 ? IPv6Address.bitWidth : IPv4Address.bitWidth)
        return isHost ? "\(prefix.address)" : "\(prefix)"
    }
}
