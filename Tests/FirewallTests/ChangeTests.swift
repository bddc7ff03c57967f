import Logging
import Testing

@testable import Firewall

/// A change of the plane, step by step: at no moment is traffic dropped or seen with the wrong address.
@Suite struct ChangeTests {
    private func keeper(_ host: FakeHost, _ preference: FirewallPreference) -> FirewallKeeper {
        FirewallKeeper(
            preference: preference, resync: .zero, runner: host, hostTables: HostTables(directory: "/nonexistent"),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private func acceptsForwarded(_ rules: FakeHost.Rules, _ key: String) -> Bool {
        let chains = rules.iptables[key]?.tables["filter"]
        let isJumpedTo = chains?["FORWARD"]?.rules.contains { IptablesState.target($0) == "FLANNEL-FWD" }
        return isJumpedTo == true && chains?["FLANNEL-FWD"]?.rules.count == 2
    }

    private func masquerades(_ rules: FakeHost.Rules, _ family: IPFamily) -> Bool {
        let nat = rules.iptables["\(family.iptablesName)-nft"]?.tables["nat"]
        let isInIptables =
            nat?["POSTROUTING"]?.rules.contains { IptablesState.target($0) == "FLANNEL-POSTRTG" } == true
            && nat?["FLANNEL-POSTRTG"]?.rules.count == 6
        return isInIptables || rules.nftables[NftablesRenderer.table(family)]?["postrtg"]?.rules.count == 6
    }

    @Test func everyStepAcceptsAndMasquerades() async throws {
        let host = FakeHost.debian()
        for key in ["iptables-nft", "ip6tables-nft"] { host.setIptables(key, RendererTests.docker) }
        let keeper = keeper(host, .iptables)
        try await keeper.update(ruleset(ipv6: true))
        host.state.withLock { $0.history = [] }
        for preference in [FirewallPreference.nftables, .iptables, .automatic, .nftables, .automatic] {
            let status = try await keeper.update(ruleset(ipv6: true), preference: preference)
            #expect(status.condition == .ok)
            let isNftables = preference == .nftables
            #expect(host.state.withLock { $0.nftables.isEmpty } == !isNftables)
            #expect(host.iptables("iptables-nft").saved.contains("FLANNEL-POSTRTG") == !isNftables)
            #expect(host.iptables("ip6tables-nft").saved.contains("FLANNEL-POSTRTG") == !isNftables)
        }
        let history = host.state.withLock { $0.history }
        #expect(history.count > 15)
        for rules in history {
            #expect(acceptsForwarded(rules, "iptables-nft") && acceptsForwarded(rules, "ip6tables-nft"))
            #expect(IPFamily.allCases.allSatisfy { masquerades(rules, $0) })
        }
    }

    /// Where the new rules cannot be put, the old ones stay.
    @Test func failedChangeKeepsTheOldRules() async throws {
        let busy = CommandOutput(exitStatus: 4, error: "Another app is currently holding the xtables lock.\n")
        for (first, second, tool) in [
            (FirewallPreference.nftables, FirewallPreference.iptables, "iptables-restore"),
            (.iptables, .nftables, "nft"),
        ] {
            let host = FakeHost.debian()
            let keeper = keeper(host, first)
            try await keeper.update(ruleset(ipv6: true))
            host.state.withLock { $0.failures[tool] = [busy] }
            #expect(try await !keeper.update(ruleset(ipv6: true), preference: second).isApplied)
            let rules = try #require(host.state.withLock { $0.history.last })
            #expect(masquerades(rules, .ipv4))
            #expect(await keeper.check().condition == .ok)
            #expect(host.state.withLock { $0.nftables.isEmpty } == (second == .iptables))
        }
    }

    /// A family that the config lost while no daemon ran.
    @Test(arguments: [FirewallPreference.iptables, .nftables])
    func rulesOfAFamilyThatIsOffGoAtAStart(preference: FirewallPreference) async throws {
        let host = FakeHost.debian()
        try await keeper(host, preference).update(ruleset(ipv6: true))
        let next = keeper(host, preference)
        #expect(try await next.update(ruleset(former: ["fd00:10:5::/48"])).condition == .ok)
        #expect(!host.iptables("ip6tables-nft").saved.contains("FLANNEL"))
        #expect(host.state.withLock { $0.nftables[NftablesRenderer.table(.ipv6)] } == nil)
        host.forgetCalls()
        await next.check()
        #expect(!host.tools.contains { $0.hasPrefix("ip6") })
    }

    /// A check that finds all well costs what it did: no write, and nothing that a host does not need.
    @Test(arguments: [
        (FirewallPreference.iptables, false, ["iptables-save", "nft"]),
        (.iptables, true, ["iptables-save", "ip6tables-save", "nft"]),
        (.nftables, false, ["nft", "nft"]), (.nftables, true, ["nft", "nft", "nft"]),
    ])
    func restingCheckStaysCheap(preference: FirewallPreference, ipv6: Bool, tools: [String]) async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host, preference)
        try await keeper.update(ruleset(ipv6: ipv6))
        host.forgetCalls()
        await keeper.check()
        #expect(host.tools == tools)
    }
}
