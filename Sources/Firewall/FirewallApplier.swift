import IPNetwork

/// One pass over every plane: read, compare, write what differs, and look at what others' rules do to the overlay.
struct FirewallApplier: Sendable {
    let tools: FirewallTools
    let hostTables: HostTables
    private var nftables: NftablesPlane
    /// The families that the last pass saw to, so that one that is switched off is cleaned up once.
    private var servedFamilies: Set<IPFamily> = []
    /// Whether what an earlier run may have left of other families was looked for.
    private var hasSwept = false
    /// The restore commands that are too old to choose ports at random.
    private var withoutRandomFully: Set<String> = []
    /// The plane that is used instead of one that cannot be; so that the latter is not tried in every pass.
    private var choice: Choice?
    /// The networks of the last ruleset.
    private var networks: Set<IPPrefix> = []
    /// Former networks whose rules are gone. Another daemon may serve one now, so they are taken away once.
    private var sweptNetworks: Set<IPPrefix> = []
    private var formerNetworks: Set<IPPrefix> = []
    /// How often a transaction is made anew because somebody else's came between.
    private static let attempts = 5

    private struct Choice {
        var preference: FirewallPreference
        var families: [IPFamily]
        var candidates: [FirewallPlane]
        var plane: FirewallPlane
        /// Why it is not the first of the candidates; `nil` when it is.
        var failure: FirewallError?
    }

    struct Outcome: Sendable {
        var plane: FirewallPlane?
        var writes = 0
        var findings: [FirewallFinding] = []
        /// What is worth a line in the log, once.
        var notices: [FirewallFinding] = []
        /// The first failure of each family; the pass goes on after one, so that a broken IPv6 does not stop IPv4.
        var failures: [IPFamily: FirewallError] = [:]

        mutating func note(_ error: FirewallError, _ families: IPFamily...) {
            for family in families where failures[family] == nil { failures[family] = error }
        }

        /// Whether the chosen plane lacks rules that it, or another, should get.
        fileprivate func isFutile(_ isTrial: Bool) -> Bool {
            failures.values.contains { isTrial || !$0.isUnavailable }
        }

        /// What keeps the rules from being in place.
        var error: FirewallError? { failures[.ipv4] ?? failures[.ipv6] }
    }

    init(runner: any CommandRunner, hostTables: HostTables) {
        tools = FirewallTools(runner: runner)
        nftables = NftablesPlane(tools: tools)
        self.hostTables = hostTables
    }

    /// Makes the kernel hold `ruleset` in the plane that `preference` chooses, and nothing of Weft's in the others but
    /// what a drop there calls for. Where the host cannot do what is preferred, the other tool is used.
    mutating func apply(_ ruleset: Ruleset, _ preference: FirewallPreference) async -> Outcome {
        let ruleset = noteNetworks(ruleset)
        let families = IPFamily.allCases.filter { ruleset.overlay($0) != nil }
        let candidates: [FirewallPlane]
        do {
            candidates = try tools.candidates(preference, families)
        } catch {
            var outcome = Outcome()
            outcome.note(error, .ipv4)
            return outcome
        }
        if let choice, (choice.preference, choice.families, choice.candidates) != (preference, families, candidates) {
            self.choice = nil
        }
        var outcome: Outcome
        if let choice {
            outcome = await pass(ruleset, choice.plane, families, isTrial: false)
        } else {
            outcome = await firstThatServes(ruleset, preference, families, candidates)
        }
        // IPv6 that this kernel cannot do is the host's matter, and IPv4 works.
        if let failure = outcome.failures[.ipv6], failure.isUnavailable, families.contains(.ipv4) {
            outcome.failures[.ipv6] = nil
            outcome.findings.append(
                FirewallFinding(
                    summary: "IPv6 firewall rules cannot be set: \(failure.cause)",
                    remedy: "\(failure.remedy), or set EnableIPv6 to false"))
        }
        let finding = outcome.plane.flatMap { tools.compromise(preference, $0, families, choice?.failure) }
        if let finding { outcome.findings.append(finding) }
        if outcome.error == nil {
            servedFamilies = Set(families)
            hasSwept = true
            sweptNetworks.formUnion(formerNetworks)
            formerNetworks = []
        }
        return outcome
    }

    /// - Returns: the ruleset with the former networks whose rules may still be there.
    private mutating func noteNetworks(_ ruleset: Ruleset) -> Ruleset {
        let current = ruleset.networks
        formerNetworks.formUnion(networks)
        formerNetworks.formUnion(ruleset.formerNetworks.filter { !sweptNetworks.contains($0) })
        formerNetworks.subtract(current)
        sweptNetworks.subtract(current)
        networks = current
        var ruleset = ruleset
        ruleset.formerNetworks = formerNetworks.sorted()
        return ruleset
    }

    private mutating func firstThatServes(
        _ ruleset: Ruleset, _ preference: FirewallPreference, _ families: [IPFamily], _ candidates: [FirewallPlane]
    ) async -> Outcome {
        var tried: [(plane: FirewallPlane, outcome: Outcome)] = []
        var writes = 0
        for plane in candidates {
            var outcome = await pass(ruleset, plane, families, isTrial: candidates.count > 1)
            writes += outcome.writes
            outcome.writes = writes
            let failure = tried.lazy.compactMap { $0.outcome.error }.first
            if !outcome.failures.values.contains(where: \.isUnavailable) {
                if let failure, outcome.error == nil {
                    choice = Choice(
                        preference: preference, families: families, candidates: candidates, plane: plane,
                        failure: failure)
                    if preference == .automatic {
                        let summary = "\(failure.cause); the rules go to \(plane.rawValue)"
                        outcome.notices.append(FirewallFinding(summary: summary, remedy: failure.remedy))
                    }
                }
                return outcome
            }
            tried.append((plane, outcome))
        }
        // None does all: IPv4 counts.
        guard let best = tried.first(where: { $0.outcome.failures[.ipv4] == nil }) else {
            return tried.first?.outcome ?? Outcome()
        }
        choice = Choice(
            preference: preference, families: families, candidates: candidates, plane: best.plane,
            failure: best.plane == candidates.first ? nil : tried.first?.outcome.error)
        guard candidates.count > 1 else { return best.outcome }
        var outcome = await pass(ruleset, best.plane, families, isTrial: false)
        outcome.writes += writes
        return outcome
    }

    /// Removes every rule in flannel's chains and tables from every plane, and the chains and tables that hold none then.
    /// Rules of stock's that stand in chains of the system stay: a stock daemon may have put them since.
    ///
    /// - Parameter kept: networks whose rules stay.
    mutating func removeEverything(keeping kept: [IPPrefix]) async -> Outcome {
        hasSwept = false
        var ruleset = Ruleset(ipv4: nil, masquerade: false, forward: false)
        ruleset.keptNetworks = kept
        let outcome = await pass(ruleset, nil, [], isTrial: false)
        networks = []
        formerNetworks = []
        servedFamilies = []
        choice = nil
        return outcome
    }

    /// The chosen plane goes first: when the plane changes, the old rules stay until the new ones are there, and at
    /// the first start they are in place before anything else is looked at. Where they cannot be put, those in the
    /// other planes stay.
    ///
    /// - Parameter isTrial: whether another plane may serve instead when something is unavailable.
    private mutating func pass(
        _ ruleset: Ruleset, _ primary: FirewallPlane?, _ families: [IPFamily], isTrial: Bool
    ) async -> Outcome {
        var outcome = Outcome(plane: primary)
        // The families whose `filter` table Weft can put accepting rules into with iptables-nft.
        var reachable: Set<IPFamily> = []
        if let primary, primary != .nftables {
            for family in families {
                do {
                    let isReached = try await settleIptables(primary, family, ruleset, .full, &outcome)
                    if isReached, primary == .iptablesNft { reachable.insert(family) }
                } catch {
                    outcome.note(error, family)
                }
            }
            if outcome.isFutile(isTrial) { return outcome }
        }
        let listing = await listing(primary, &outcome)
        if let listing {
            await nftables.settle(listing, primary == .nftables ? ruleset : ruleset.withoutRules, &outcome)
        }
        if primary == .nftables, outcome.isFutile(isTrial) { return outcome }

        for family in IPFamily.allCases {
            let isServed = families.contains(family)
            for plane in [FirewallPlane.iptablesNft, .iptablesLegacy] where plane != primary || !isServed {
                guard isInUse(plane, family, listing, isServed) else { continue }
                if tools.iptables(plane, family) == nil {
                    // nft still sees, and reports, what iptables-nft holds; nothing but its own command sees legacy.
                    let isUnseen = plane == .iptablesLegacy && isServed && ruleset.forward
                    if isUnseen { outcome.findings.append(Self.unreadable(family)) }
                    continue
                }
                let scope: IptablesRenderer.Scope = primary != nil && isServed ? .forwardWhereDropped : .nothing
                do {
                    let isReached = try await settleIptables(plane, family, ruleset, scope, &outcome)
                    if isReached, plane == .iptablesNft { reachable.insert(family) }
                } catch  where !error.isUnavailable {
                    outcome.note(error, family)
                } catch {
                    // What the kernel does not have holds no rules.
                }
            }
        }
        if let listing, primary != nil { await inspect(listing, ruleset, reachable, &outcome) }
        return outcome
    }

    private func listing(_ primary: FirewallPlane?, _ outcome: inout Outcome) async -> NftablesListing? {
        guard tools.hasNft else { return nil }
        do {
            return try await nftables.list()
        } catch {
            // A kernel without nf_tables has no tables of Weft's either.
            if primary == .nftables || !error.isUnavailable { outcome.note(error, .ipv4, .ipv6) }
            return nil
        }
    }

    /// - Returns: whether the plane's `filter` table could be read and holds what is wanted.
    private mutating func settleIptables(
        _ plane: FirewallPlane, _ family: IPFamily, _ ruleset: Ruleset, _ scope: IptablesRenderer.Scope,
        _ outcome: inout Outcome
    ) async throws(FirewallError) -> Bool {
        guard let commands = tools.iptables(plane, family) else {
            throw FirewallError(
                cause: "\(family.iptablesName)-restore is not installed", remedy: "install iptables",
                kind: .unavailable)
        }
        var isSecondAttempt = false
        var attempts = 1
        var state = try await tools.save(commands)
        while true {
            var ruleset = ruleset
            if withoutRandomFully.contains(commands.restore) { ruleset.randomFully = false }
            let renderer = IptablesRenderer(ruleset: ruleset, family: family)
            if let input = renderer.restoreInput(current: state, scope: scope) {
                do {
                    try await tools.restore(commands, input)
                } catch {
                    if error.kind == .noRandomFully, withoutRandomFully.insert(commands.restore).inserted {
                        outcome.notices.append(.noRandomFully(commands.restore, error.remedy))
                        continue
                    }
                    let now = try await tools.save(commands)
                    // Somebody else's transaction came between, or may have.
                    let isOvertaken = now != state && attempts < Self.attempts
                    guard isOvertaken || error.kind == .perhapsUnavailable && !isSecondAttempt else { throw error }
                    if !isOvertaken { isSecondAttempt = true }
                    attempts += 1
                    state = now
                    continue
                }
                outcome.writes += 1
            }
            outcome.findings += ForwardFindings(ruleset: ruleset).findings(state, family, plane)
            return !state.incompatibleTables.contains("filter")
        }
    }

    /// Whether a plane that was not chosen holds anything that matters. Asking it would cost a process, and asking
    /// iptables-legacy would load its modules.
    ///
    /// - Parameter isServed: whether the overlay has the family; if not, just what is left of Weft's rules matters.
    private func isInUse(
        _ plane: FirewallPlane, _ family: IPFamily, _ listing: NftablesListing?, _ isServed: Bool
    ) -> Bool {
        let isUnsure = isServed || !hasSwept || servedFamilies.contains(family)
        switch plane {
        case .nftables: return true
        case .iptablesLegacy:
            return isUnsure && !hostTables.legacy(family).isDisjoint(with: ["filter", "nat", "raw"])
        case .iptablesNft:
            guard let listing else { return isUnsure }
            let others = isServed ? [("filter", "FORWARD"), ("raw", "PREROUTING"), ("nat", "POSTROUTING")] : []
            let own = [("filter", IptablesRenderer.forwardChain), ("nat", IptablesRenderer.postroutingChain)]
            return (others + own).contains { table, chain in
                listing.tables[.init(family: family.nftablesName, name: table)]?[chain] != nil
            }
        }
    }

    private func inspect(
        _ listing: NftablesListing, _ ruleset: Ruleset, _ reachable: Set<IPFamily>, _ outcome: inout Outcome
    ) async {
        let rules = ForwardFindings(ruleset: ruleset)
        for chain in rules.foreignChains(listing, iptablesFamilies: reachable) {
            // A chain may go between two lists; then there is no finding about it either.
            let query = "list chain \(chain.table.family) \(chain.table.name) \(chain.name)\n"
            guard let text = try? await tools.nft(query) else { continue }
            var chains = NftablesListing(parsing: text).tables[chain.table] ?? [:]
            guard let content = chains[chain.name], rules.mayDrop(content) else { continue }
            // The rest of the table may be long, and is asked for only where it decides.
            if content.rules.contains(where: { $0.contains("jump ") || $0.contains("goto ") }) {
                let query = "list table \(chain.table.family) \(chain.table.name)\n"
                guard let text = try? await tools.nft(query) else { continue }
                chains = NftablesListing(parsing: text).tables[chain.table] ?? [:]
            }
            if let finding = rules.finding(chain, chains) { outcome.findings.append(finding) }
        }
    }

    private static func unreadable(_ family: IPFamily) -> FirewallFinding {
        FirewallFinding(
            summary: "tables of \(family.iptablesName)-legacy are loaded, and may drop overlay traffic unseen",
            remedy: "install iptables with its legacy commands, or unload the iptable_* and ip6table_* modules")
    }
}

extension FirewallError {
    /// Whether another tool may do what this one cannot.
    var isUnavailable: Bool { kind == .unavailable || kind == .perhapsUnavailable }
}

extension FirewallFinding {
    static func noRandomFully(_ tool: String, _ remedy: String) -> FirewallFinding {
        FirewallFinding(
            summary: "\(tool) cannot choose source ports at random; masquerading goes without", remedy: remedy)
    }
}
