/// One pass over every plane: read, compare, write what differs, and look at what others' rules do to the overlay.
struct FirewallApplier: Sendable {
    let tools: FirewallTools
    let hostTables: HostTables
    /// The families that the last pass saw to, so that one that is switched off is cleaned up once.
    private var servedFamilies: Set<IPFamily> = []
    /// The script that was written last, to notice one that is wanted again and again.
    private var lastScript: String?
    /// How this host's nft prints tables that are right, where that differs from what Weft expects.
    private var accepted: (wanted: OwnTables, printed: OwnTables)?

    typealias OwnTables = [NftablesListing.TableKey: [String: NftablesListing.Chain]]

    struct Outcome: Sendable {
        var plane: FirewallPlane?
        var writes = 0
        var findings: [FirewallFinding] = []
        /// The first failure; the pass goes on after one, so that a broken IPv6 does not stop IPv4.
        var error: FirewallError?

        mutating func attempt<Value>(
            _ body: () async throws(FirewallError) -> Value
        ) async -> Value? {
            do {
                return try await body()
            } catch {
                self.error = self.error ?? error
                return nil
            }
        }
    }

    init(runner: any CommandRunner, hostTables: HostTables) {
        tools = FirewallTools(runner: runner)
        self.hostTables = hostTables
    }

    /// Makes the kernel hold `ruleset` in the plane that `preference` chooses, and nothing of Weft's in the others but
    /// what a drop there calls for.
    mutating func apply(_ ruleset: Ruleset, _ preference: FirewallPreference) async -> Outcome {
        var outcome = Outcome()
        let plane: FirewallPlane
        do {
            plane = try tools.choosePlane(preference)
        } catch {
            outcome.error = error
            return outcome
        }
        outcome.plane = plane
        await pass(ruleset, plane, families(of: ruleset), &outcome)
        if outcome.error == nil {
            servedFamilies = Set(IPFamily.allCases.filter { ruleset.overlay($0) != nil })
        }
        return outcome
    }

    /// Removes all that Weft, or a stock flannel for the same network, put into any plane.
    mutating func removeEverything(_ ruleset: Ruleset) async -> Outcome {
        var nothing = ruleset
        nothing.masquerade = false
        nothing.forward = false
        var outcome = Outcome()
        await pass(nothing, nil, IPFamily.allCases, &outcome)
        servedFamilies = []
        return outcome
    }

    private func families(of ruleset: Ruleset) -> [IPFamily] {
        IPFamily.allCases.filter { ruleset.overlay($0) != nil || servedFamilies.contains($0) }
    }

    /// The chosen plane goes first: when the plane changes, the old rules stay until the new ones are there, and at
    /// the first start they are in place before anything else is looked at.
    private mutating func pass(
        _ ruleset: Ruleset, _ primary: FirewallPlane?, _ families: [IPFamily], _ outcome: inout Outcome
    ) async {
        // The families whose `filter` table Weft can put accepting rules into with iptables-nft.
        var reachable: Set<IPFamily> = []
        if let primary, primary != .nftables {
            for family in families {
                let isReached = await settleIptables(primary, family, ruleset, .full, &outcome)
                if isReached, primary == .iptablesNft { reachable.insert(family) }
            }
        }
        var listing: NftablesListing?
        if tools.hasNft {
            listing = await outcome.attempt { () async throws(FirewallError) in try await list() }
        }
        if let listing { await settleNftables(listing, primary == .nftables ? ruleset : nil, &outcome) }

        let scope: IptablesRenderer.Scope = primary == nil ? .nothing : .forwardWhereDropped
        for family in families {
            for plane in [FirewallPlane.iptablesNft, .iptablesLegacy] where plane != primary {
                guard isInUse(plane, family, listing) else { continue }
                if tools.iptables(plane, family) == nil {
                    // nft still sees, and reports, what iptables-nft holds; nothing but its own command sees legacy.
                    if plane == .iptablesLegacy, ruleset.forward { outcome.findings.append(Self.unreadable(family)) }
                    continue
                }
                let isReached = await settleIptables(plane, family, ruleset, scope, &outcome)
                if isReached, plane == .iptablesNft { reachable.insert(family) }
            }
        }
        if let listing, primary != nil { await inspect(listing, ruleset, reachable, &outcome) }
    }

    /// - Returns: whether the plane's `filter` table could be read and holds what is wanted.
    private func settleIptables(
        _ plane: FirewallPlane, _ family: IPFamily, _ ruleset: Ruleset, _ scope: IptablesRenderer.Scope,
        _ outcome: inout Outcome
    ) async -> Bool {
        guard let commands = tools.iptables(plane, family) else {
            outcome.error =
                outcome.error
                ?? FirewallError(
                    cause: "\(family.iptablesName)-restore is not installed", remedy: "install iptables")
            return false
        }
        let state = await outcome.attempt { () async throws(FirewallError) in try await tools.save(commands) }
        guard let state else { return false }
        let renderer = IptablesRenderer(ruleset: ruleset, family: family)
        if let input = renderer.restoreInput(current: state, scope: scope) {
            let isWritten: Void? = await outcome.attempt { () async throws(FirewallError) in
                try await tools.restore(commands, input)
            }
            guard isWritten != nil else { return false }
            outcome.writes += 1
        }
        outcome.findings += ForwardFindings(ruleset: ruleset).findings(state, family, plane)
        return !state.incompatibleTables.contains("filter")
    }

    /// - Parameter ruleset: `nil` to have no tables.
    private mutating func settleNftables(
        _ listing: NftablesListing, _ ruleset: Ruleset?, _ outcome: inout Outcome
    ) async {
        let renderer = NftablesRenderer(ruleset: ruleset ?? Ruleset(ipv4: nil, masquerade: false, forward: false))
        let wanted = renderer.wanted
        if let accepted, accepted.wanted == wanted, accepted.printed == Self.own(listing) { return }
        guard let script = renderer.script(current: listing) else {
            lastScript = nil
            return
        }
        let isWritten: Void? = await outcome.attempt { () async throws(FirewallError) in
            _ = try await tools.nft(script)
        }
        guard isWritten != nil else { return }
        outcome.writes += 1
        if script == lastScript {
            // Wanted twice in a row: somebody changed the table, or this nft prints it in another way than expected.
            let printed = await outcome.attempt { () async throws(FirewallError) in try await list() }
            if let printed, renderer.script(current: printed) != nil {
                accepted = (wanted, Self.own(printed))
            }
        }
        lastScript = script
    }

    private static func own(_ listing: NftablesListing) -> OwnTables {
        listing.tables.filter { key, _ in IPFamily.allCases.contains { NftablesRenderer.table($0) == key } }
    }

    /// All chains with their hooks, yet without the rules of others, which may be many; Weft's tables in full.
    ///
    /// A command each: nft 1.0.6 reads in only what the last `list` of a script asks for.
    private func list() async throws(FirewallError) -> NftablesListing {
        var listing = NftablesListing(parsing: try await tools.nft("list chains\n"))
        for key in Self.own(listing).keys {
            let text = try await tools.nft("list table \(key.family) \(key.name)\n")
            listing.tables.merge(NftablesListing(parsing: text).tables) { $1 }
        }
        return listing
    }

    /// Whether a plane that was not chosen holds anything that matters. Asking it would cost a process, and asking
    /// iptables-legacy would load its modules.
    private func isInUse(_ plane: FirewallPlane, _ family: IPFamily, _ listing: NftablesListing?) -> Bool {
        switch plane {
        case .nftables: true
        case .iptablesLegacy: !hostTables.legacy(family).isDisjoint(with: ["filter", "nat", "raw"])
        case .iptablesNft:
            listing.map { listing in
                [
                    ("filter", ["FORWARD", IptablesRenderer.forwardChain]), ("raw", ["PREROUTING"]),
                    ("nat", ["POSTROUTING", IptablesRenderer.postroutingChain]),
                ].contains { table, chains in
                    let present = listing.tables[.init(family: family.nftablesName, name: table)] ?? [:]
                    return chains.contains { present[$0] != nil }
                }
            } ?? true
        }
    }

    private func inspect(
        _ listing: NftablesListing, _ ruleset: Ruleset, _ reachable: Set<IPFamily>, _ outcome: inout Outcome
    ) async {
        let rules = ForwardFindings(ruleset: ruleset)
        let chains = rules.foreignChains(listing, iptablesFamilies: reachable)
        for chain in chains {
            // A chain may go between the two lists; then there is no finding about it either.
            let query = "list chain \(chain.table.family) \(chain.table.name) \(chain.name)\n"
            guard let text = try? await tools.nft(query) else { continue }
            let content = NftablesListing(parsing: text).tables[chain.table]?[chain.name]
            if let finding = content.flatMap({ rules.finding($0, chain) }) { outcome.findings.append(finding) }
        }
    }

    private static func unreadable(_ family: IPFamily) -> FirewallFinding {
        FirewallFinding(
            summary: "tables of \(family.iptablesName)-legacy are loaded, and may drop overlay traffic unseen",
            remedy: "install iptables with its legacy commands, or unload the iptable_* and ip6table_* modules")
    }
}
