import IPNetwork

/// Reads other programs' rules for what stops overlay traffic and is not Weft's to change.
struct ForwardFindings {
    let ruleset: Ruleset

    /// A chain on the forward path that is neither Weft's nor reachable with an iptables command.
    struct ForeignChain: Hashable {
        var table: NftablesListing.TableKey
        var name: String
    }

    /// The chains in `listing` that see forwarded packets of a family the overlay has.
    ///
    /// - Parameter iptablesFamilies: the families whose `filter` table Weft reaches through iptables-nft, where it can
    ///   put its own accepting rules.
    func foreignChains(_ listing: NftablesListing, iptablesFamilies: Set<IPFamily>) -> [ForeignChain] {
        guard ruleset.forward else { return [] }
        return listing.tables.flatMap { key, chains in
            chains.compactMap { name, chain -> ForeignChain? in
                guard chain.isForwardFilter, !families(key).isEmpty else { return nil }
                if IPFamily.allCases.contains(where: { NftablesRenderer.table($0) == key }) { return nil }
                let isIptables = key.name == "filter" && name == "FORWARD"
                if isIptables, iptablesFamilies.contains(where: { $0.nftablesName == key.family }) { return nil }
                return ForeignChain(table: key, name: name)
            }
        }.sorted { ($0.table.family, $0.table.name, $0.name) < ($1.table.family, $1.table.name, $1.name) }
    }

    /// Whether a chain drops what no rule of it accepts; one that does not is no hindrance.
    func mayDrop(_ chain: NftablesListing.Chain) -> Bool {
        chain.dropsByPolicy || chain.rules.contains { NftablesVerdicts.isDrop($0) }
    }

    /// What is wrong with a foreign chain; `nil` when it lets overlay traffic pass.
    ///
    /// A chain that drops by policy, or in a rule without a condition, needs accepting rules of its own: an accept in
    /// Weft's table ends only Weft's chain (nft(8), "accept").
    ///
    /// - Parameter chains: the chains of its table, itself among them; those it jumps to are followed.
    func finding(_ foreign: ForeignChain, _ chains: [String: NftablesListing.Chain]) -> FirewallFinding? {
        guard let chain = chains[foreign.name], mayDrop(chain) else { return nil }
        // firewalld's remedy makes a zone of the overlay: what comes from it is accepted, and what answers it is anyway.
        let fields = foreign.table.name == "firewalld" ? ["saddr"] : ["saddr", "daddr"]
        let verdicts = NftablesVerdicts(chains: chains)
        let wanted = families(foreign.table).flatMap { family -> [(network: IPPrefix, rule: String)] in
            guard let network = ruleset.overlay(family)?.network else { return [] }
            return fields.filter { !verdicts.accepts(foreign.name, family, $0, network) }
                .map { (network, "\(family.nftablesName) \($0) \(network) accept") }
        }
        guard !wanted.isEmpty else { return nil }
        let place = "\(foreign.table.family) \(foreign.table.name) \(foreign.name)"
        let summary = "nftables chain \(place) drops forwarded overlay traffic"
        if foreign.table.name == "firewalld" {
            let commands = wanted.map { "firewall-cmd --permanent --zone=trusted --add-source=\($0.network)" }
            let remedy = (commands + ["firewall-cmd --reload"]).joined(separator: "; ")
            return FirewallFinding(summary: summary, remedy: "run: \(remedy)")
        }
        let commands = wanted.map { "nft insert rule \(place) \($0.rule)" }.joined(separator: "; ")
        return FirewallFinding(
            summary: summary, remedy: "run, and add to the ruleset's file so that it stays: \(commands)")
    }

    /// What is wrong in one family's iptables rules apart from the forward path, where Weft accepts by itself.
    func findings(_ state: IptablesState, _ family: IPFamily, _ plane: FirewallPlane) -> [FirewallFinding] {
        guard let overlay = ruleset.overlay(family) else { return [] }
        var findings: [FirewallFinding] = []
        let isOverlay = { (text: String) -> Bool in
            guard let prefix = IPPrefix(text) else { return false }
            return overlay.network.length <= prefix.length && overlay.network.contains(prefix.address)
        }
        // Docker 28 drops what reaches a container from anywhere but its bridge, before routing.
        let raw = state.chain("raw", "PREROUTING")?.rules ?? []
        if raw.contains(where: { IptablesState.target($0) == "DROP" && Self.value($0, "-d").map(isOverlay) == true }) {
            findings.append(
                FirewallFinding(
                    summary: "\(plane.rawValue) chain raw PREROUTING drops overlay traffic to containers (Docker 28)",
                    remedy: "set \"allow-direct-routing\": true in /etc/docker/daemon.json and restart Docker"))
        }
        let nat = state.chain("nat", "POSTROUTING")?.rules ?? []
        // With masquerading off it is Docker's to do (FLANNEL_IPMASQ=false), so only both at once is wrong.
        if ruleset.masquerade,
            let rule = nat.first(where: { rule in
                IptablesState.target(rule) == "MASQUERADE" && Self.value(rule, "-s").map(isOverlay) == true
                    && !rule.contains("-d")
            })
        {
            findings.append(
                FirewallFinding(
                    summary: "\(plane.rawValue) chain nat POSTROUTING hides container addresses inside the overlay: "
                        + IptablesState.line(rule),
                    remedy: "start dockerd with --ip-masq=false, as mk-docker-opts.sh writes it"))
        }
        return findings
    }

    private func families(_ key: NftablesListing.TableKey) -> [IPFamily] {
        IPFamily.allCases.filter { family in
            ruleset.overlay(family) != nil && (key.family == "inet" || key.family == family.nftablesName)
        }
    }

    /// The word after `option`, unless it is negated.
    private static func value(_ rule: [String], _ option: String) -> String? {
        guard let index = rule.firstIndex(of: option), index + 1 < rule.count else { return nil }
        return index > 0 && rule[index - 1] == "!" ? nil : rule[index + 1]
    }
}
