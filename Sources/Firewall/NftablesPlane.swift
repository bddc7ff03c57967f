/// flannel's nftables tables: what this network wants in them, and what this host's nft makes of that.
struct NftablesPlane: Sendable {
    let tools: FirewallTools
    /// How this host's nft prints a rule. Versions differ, and what nft prints while it adds a rule is what it prints when
    /// it lists the rule, so a rule that anybody changed since is never taken for right.
    private var printed: [String: String] = [:]
    private var hasRandomFully = true

    /// How often a transaction is made anew because somebody else's came between.
    private static let attempts = 5

    init(tools: FirewallTools) { self.tools = tools }

    /// All chains with their hooks, yet without the rules of others, which may be many; Weft's tables in full.
    ///
    /// A command each: nft 1.0.6 reads in only what the last `list` of a script asks for.
    func list() async throws(FirewallError) -> NftablesListing {
        var listing = NftablesListing(parsing: try await tools.nft("list chains\n"))
        for key in listing.tables.keys where IPFamily.allCases.contains(where: { NftablesRenderer.table($0) == key }) {
            do {
                let text = try await tools.nft("list table \(key.family) \(key.name)\n", handles: true)
                listing.tables.merge(NftablesListing(parsing: text).tables) { $1 }
            } catch  where error.kind == .perhapsUnavailable {
                // It went between the two commands, as with `flush ruleset`.
                listing.tables[key] = nil
            }
        }
        return listing
    }

    /// Puts right what differs, in one transaction for both families where the kernel takes both.
    ///
    /// - Parameter ruleset: without rules to take this network's out.
    mutating func settle(
        _ listing: NftablesListing, _ ruleset: Ruleset, _ outcome: inout FirewallApplier.Outcome
    ) async {
        var families = IPFamily.allCases.filter { script(listing, ruleset, [$0]) != nil }
        do {
            try await write(listing, ruleset, families, &outcome)
        } catch  where families.count < 2 {
            for family in families { outcome.note(error, family) }
        } catch {
            // What the kernel lacks for one family must not keep the other from its rules.
            while let family = families.popLast() {
                do {
                    try await write(listing, ruleset, [family], &outcome)
                } catch {
                    outcome.note(error, family)
                }
            }
        }
    }

    private mutating func write(
        _ listing: NftablesListing, _ ruleset: Ruleset, _ families: [IPFamily],
        _ outcome: inout FirewallApplier.Outcome
    ) async throws(FirewallError) {
        var listing = listing
        var attempt = 1
        while let script = script(listing, ruleset, families) {
            do {
                let asked = NftablesListing.rules(inEcho: script)
                let added = NftablesListing.rules(inEcho: try await tools.nft(script, echo: true))
                if asked.count == added.count {
                    for (rule, text) in zip(asked, added) { printed[rule] = text == rule ? nil : text }
                }
                outcome.writes += 1
                return
            } catch  where error.kind == .noRandomFully && hasRandomFully {
                hasRandomFully = false
                outcome.notices.append(.noRandomFully("nft", error.remedy))
            } catch {
                guard attempt < Self.attempts, let now = try? await list(), now.tables != listing.tables else {
                    throw error
                }
                attempt += 1
                listing = now
            }
        }
    }

    private func script(_ listing: NftablesListing, _ ruleset: Ruleset, _ families: [IPFamily]) -> String? {
        var ruleset = ruleset
        if !hasRandomFully { ruleset.randomFully = false }
        let renderer = NftablesRenderer(ruleset: ruleset, printed: printed)
        let script = families.compactMap { renderer.script($0, current: listing) }.joined()
        return script.isEmpty ? nil : script
    }
}
