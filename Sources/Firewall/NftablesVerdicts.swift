import IPNetwork

/// Follows a table's rules for packets of which one address is known, as the kernel would.
struct NftablesVerdicts {
    let chains: [String: NftablesListing.Chain]

    private enum Verdict {
        case accept
        case drop
        /// No rule without another condition decides.
        case none
    }

    /// nft refuses loops of jumps, and the kernel allows 16 levels (`NFT_JUMP_STACK_SIZE`).
    private static let deepest = 16

    /// Whether a rule drops whatever comes to it.
    static func isDrop(_ rule: String) -> Bool {
        rule == "drop" || rule == "reject" || rule.hasPrefix("reject with ")
    }

    /// Whether the base chain `name` accepts all packets that have `field` (`saddr` or `daddr`) in `network`, on no other
    /// condition. Rules with other conditions are passed over.
    func accepts(_ name: String, _ family: IPFamily, _ field: String, _ network: IPPrefix) -> Bool {
        switch verdict(name, family, field, network, depth: 0) {
        case .accept: true
        case .drop: false
        case .none: chains[name]?.dropsByPolicy == false
        }
    }

    private func verdict(
        _ name: String, _ family: IPFamily, _ field: String, _ network: IPPrefix, depth: Int
    ) -> Verdict {
        guard depth < Self.deepest, let chain = chains[name] else { return .none }
        for rule in chain.rules {
            guard let statement = Self.statement(rule, family, field, network) else { continue }
            if Self.isDrop(statement) { return .drop }
            let words = statement.split(separator: " ").map(String.init)
            switch (words[0], words.count) {
            case ("accept", 1): return .accept
            case ("return", 1): return .none
            case ("jump", 2):
                let result = verdict(words[1], family, field, network, depth: depth + 1)
                if result != .none { return result }
            case ("goto", 2): return verdict(words[1], family, field, network, depth: depth + 1)
            default: continue
            }
        }
        return .none
    }

    /// What a rule does with the packets, or `nil` when it asks for more than that `field` is in `network`.
    private static func statement(
        _ rule: String, _ family: IPFamily, _ field: String, _ network: IPPrefix
    ) -> String? {
        var words = rule.split(separator: " ")
        if let comment = words.firstIndex(of: "comment") { words.removeSubrange(comment...) }
        if words.count > 3, words[0] == family.nftablesName, words[1] == field, let prefix = IPPrefix(String(words[2]))
        {
            guard prefix.length <= network.length, prefix.contains(network.address) else { return nil }
            words.removeFirst(3)
        }
        let verdicts: Set<Substring> = ["accept", "drop", "reject", "return", "jump", "goto"]
        return words.first.map(verdicts.contains) == true ? words.joined(separator: " ") : nil
    }
}
