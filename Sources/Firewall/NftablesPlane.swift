/// Weft's own nftables tables: what they should be, and what this host's nft makes of that.
struct NftablesPlane: Sendable {
    let tools: FirewallTools
    /// How this host's nft prints a table that is right. Versions differ, and what nft prints while it adds a rule is
    /// what it prints when it lists the rule, so a table that anybody changed since is never taken for right.
    private var printed: [NftablesListing.TableKey: (wanted: Chains, printed: Chains)] = [:]
    private var hasRandomFully = true

    typealias Chains = [String: NftablesListing.Chain]

    init(tools: FirewallTools) { self.tools = tools }

    /// All chains with their hooks, yet without the rules of others, which may be many; Weft's tables in full.
    ///
    /// A command each: nft 1.0.6 reads in only what the last `list` of a script asks for.
    func list() async throws(FirewallError) -> NftablesListing {
        var listing = NftablesListing(parsing: try await tools.nft("list chains\n"))
        for key in listing.tables.keys where IPFamily.allCases.contains(where: { NftablesRenderer.table($0) == key }) {
            do {
                let text = try await tools.nft("list table \(key.family) \(key.name)\n")
                listing.tables.merge(NftablesListing(parsing: text).tables) { $1 }
            } catch  where error.kind == .perhapsUnavailable {
                // It went between the two commands, as with `flush ruleset`.
                listing.tables[key] = nil
            }
        }
        return listing
    }

    /// Replaces each table that differs, in one transaction for both families where the kernel takes both.
    ///
    /// - Parameter ruleset: `nil` to have no tables.
    mutating func settle(
        _ listing: NftablesListing, _ ruleset: Ruleset?, _ outcome: inout FirewallApplier.Outcome
    ) async {
        var ruleset = ruleset ?? Ruleset(ipv4: nil, masquerade: false, forward: false)
        if !hasRandomFully { ruleset.randomFully = false }
        let renderer = NftablesRenderer(ruleset: ruleset)
        let wanted = renderer.wanted
        let scripts = IPFamily.allCases.compactMap { family -> (family: IPFamily, script: String)? in
            let key = NftablesRenderer.table(family)
            if let known = printed[key], known.wanted == wanted[key], known.printed == listing.tables[key] {
                return nil
            }
            return renderer.script(family, current: listing).map { (family, $0) }
        }
        guard !scripts.isEmpty else { return }
        do {
            try await write(scripts.map(\.script).joined(), wanted)
            outcome.writes += 1
        } catch {
            if error.kind == .noRandomFully, hasRandomFully {
                hasRandomFully = false
                outcome.notices.append(.noRandomFully("nft", error.remedy))
                return await settle(listing, ruleset, &outcome)
            }
            guard scripts.count > 1 else { return outcome.note(error, scripts[0].family) }
            // What the kernel lacks for one family must not keep the other from its rules.
            for (family, script) in scripts {
                do {
                    try await write(script, wanted)
                    outcome.writes += 1
                } catch {
                    outcome.note(error, family)
                }
            }
        }
    }

    private mutating func write(
        _ script: String, _ wanted: [NftablesListing.TableKey: Chains]
    ) async throws(FirewallError) {
        let echo = NftablesListing(echo: try await tools.nft(script, echo: true))
        for (key, chains) in echo.tables {
            guard let asked = wanted[key], asked.mapValues(\.rules.count) == chains.mapValues(\.rules.count) else {
                continue
            }
            printed[key] = (asked, chains)
        }
    }
}
