import IPNetwork

/// Turns a ``Ruleset`` into a script for `nft -f -`: one transaction, the two tables of Weft's own and nothing else.
struct NftablesRenderer: Sendable {
    let ruleset: Ruleset

    static let forwardChain = "forward"
    static let postroutingChain = "postrtg"

    static func table(_ family: IPFamily) -> NftablesListing.TableKey {
        .init(family: family.nftablesName, name: "flannel-\(family.rawValue)")
    }

    /// The tables that should exist; a family without rules has none.
    var wanted: [NftablesListing.TableKey: [String: NftablesListing.Chain]] {
        var tables: [NftablesListing.TableKey: [String: NftablesListing.Chain]] = [:]
        for family in IPFamily.allCases {
            var chains: [String: NftablesListing.Chain] = [:]
            let forward = ruleset.forwardRules(family)
            if !forward.isEmpty {
                // Never a policy of drop: it would cut off whatever else the host forwards.
                chains[Self.forwardChain] = .init(
                    hook: "type filter hook forward priority 0; policy accept;",
                    rules: forward.map { Self.text($0, family) })
            }
            let postrouting = ruleset.postroutingRules(family)
            if !postrouting.isEmpty {
                chains[Self.postroutingChain] = .init(
                    hook: "type nat hook postrouting priority 100; policy accept;",
                    rules: postrouting.map { Self.text($0, family) })
            }
            if !chains.isEmpty { tables[Self.table(family)] = chains }
        }
        return tables
    }

    /// The script that makes one family's table right, or `nil` when it is right already.
    func script(_ family: IPFamily, current: NftablesListing) -> String? {
        let key = Self.table(family)
        let wanted = wanted[key]
        return current.tables[key] == wanted ? nil : Self.replace(key, with: wanted)
    }

    /// The script that makes `current` right in both families, or `nil` when it is right already.
    func script(current: NftablesListing) -> String? {
        let text = IPFamily.allCases.compactMap { script($0, current: current) }.joined()
        return text.isEmpty ? nil : text
    }

    /// Adding first makes the deletion succeed whether or not the table was there; all in one transaction.
    private static func replace(
        _ key: NftablesListing.TableKey, with chains: [String: NftablesListing.Chain]?
    ) -> String {
        let name = "\(key.family) \(key.name)"
        var lines = ["add table \(name)", "delete table \(name)"]
        if let chains {
            lines.append("add table \(name)")
            for (chain, content) in chains.sorted(by: { $0.key < $1.key }) {
                lines.append("add chain \(name) \(chain) { \(content.hook ?? "") }")
                lines += content.rules.map { "add rule \(name) \(chain) \($0)" }
            }
        }
        return lines.joined(separator: "\n") + "\n"
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
