import Logging
import Testing

@testable import Firewall

/// What a host cannot do, another tool does, and it is said.
@Suite struct FallbackTests {
    private func keeper(_ host: FakeHost, _ preference: FirewallPreference = .automatic) -> FirewallKeeper {
        FirewallKeeper(
            preference: preference, resync: .zero, runner: host, hostTables: HostTables(directory: "/nonexistent"),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private func findings(_ status: FirewallStatus) -> [FirewallFinding] {
        if case .findings(let findings) = status.condition { return findings }
        return []
    }

    private static let noModules = CommandOutput(
        exitStatus: 3, error: "iptables-restore v1.8.9: can't initialize iptables table `nat': Table does not exist\n")
    private static let ruleIsGone = CommandOutput(
        exitStatus: 4,
        error: "iptables-restore v1.8.9: RULE_DELETE failed (No such file or directory): rule in chain FORWARD\n")
    private static let noIPv6 = CommandOutput(
        exitStatus: 3, error: "ip6tables-restore: can't initialize ip6tables table `nat': Table does not exist\n")

    @Test func missingCommandOfAnExplicitChoiceIsMadeUpForAndNamed() async throws {
        let iptables = FakeHost(tools: ["iptables-restore", "iptables-save"])
        let there = try await keeper(iptables, .nftables).update(ruleset())
        #expect(there.plane == .iptablesLegacy && there.isApplied)
        #expect(
            findings(there) == [
                FirewallFinding(
                    summary: "EnableNFTables is true, but the nft command is not installed; the rules are in iptables",
                    remedy: "install nftables")
            ])
        // Installed meanwhile, it is used, and nothing of the makeshift stays.
        iptables.state.withLock { $0.paths["nft"] = "/usr/sbin/nft" }
        let keeper = keeper(iptables, .nftables)
        #expect(try await keeper.update(ruleset()).condition == .ok)
        #expect(await keeper.status.plane == .nftables)

        let nft = FakeHost(tools: ["nft"])
        let back = try await self.keeper(nft, .iptables).update(ruleset())
        #expect(back.plane == .nftables && back.isApplied)
        #expect(findings(back).map(\.remedy) == ["install iptables"])
        #expect(findings(back)[0].summary.contains("iptables-restore is not installed"))
    }

    @Test(arguments: [FirewallPreference.automatic, .iptables])
    func missingModulesOfIptablesMakeItNftables(preference: FirewallPreference) async throws {
        let host = FakeHost.debian("legacy")
        host.state.withLock { $0.failures["iptables-restore"] = Array(repeating: Self.noModules, count: 9) }
        let keeper = keeper(host, preference)
        let status = try await keeper.update(ruleset())
        #expect(status.plane == .nftables && status.isApplied)
        #expect(host.state.withLock { $0.nftables.count } == 1)
        if preference == .automatic {
            #expect(status.condition == .ok)
        } else {
            #expect(findings(status)[0].summary.contains("can't initialize iptables table `nat'"))
            #expect(findings(status)[0].remedy.hasSuffix("and restart weftd"))
        }
        // It is not tried again in each check.
        host.forgetCalls()
        await keeper.check()
        #expect(!host.tools.contains("iptables-restore"))
    }

    @Test func nftablesThatTheKernelLacksBecomesIptables() async throws {
        let host = FakeHost.debian("legacy")
        let refusal = CommandOutput(exitStatus: 1, error: "Error: Could not process rule: Operation not supported\n")
        host.state.withLock { $0.failures["nft"] = Array(repeating: refusal, count: 20) }
        let keeper = keeper(host, .nftables)
        let status = try await keeper.update(ruleset())
        #expect(status.plane == .iptablesLegacy && status.isApplied)
        #expect(findings(status)[0].summary.hasPrefix("EnableNFTables is true, but nft -n -f - failed"))
        #expect(host.iptables("iptables-legacy").saved.contains("FLANNEL-POSTRTG"))
        // A broken nft on a host that uses iptables is nobody's concern.
        #expect(try await keeper.update(ruleset(), preference: .iptables).condition == .ok)
    }

    /// Another program's deletion at the same moment looks like a missing module.
    @Test func raceIsNoReasonToChangeThePlane() async throws {
        let host = FakeHost.debian()
        host.state.withLock { $0.failures["iptables-restore"] = [Self.ruleIsGone] }
        let status = try await keeper(host).update(ruleset())
        #expect(status.plane == .iptablesNft && status.condition == .ok)
        #expect(host.state.withLock { $0.nftables.isEmpty })
    }

    /// A flush between the two lists of a check looks like a kernel that lacks something.
    @Test func tableThatGoesWhileItIsListedIsPutBack() async throws {
        let host = FakeHost.debian("legacy")
        let keeper = keeper(host, .nftables)
        #expect(try await keeper.update(ruleset()).plane == .nftables)
        let key = NftablesListing.TableKey(family: "ip", name: "flannel-ipv4")
        let before = host.state.withLock { $0.nftables }
        let listed = CommandOutput(output: "table ip flannel-ipv4 {\n\tchain forward {\n\t}\n}\n")
        host.state.withLock { state in
            state.nftables[key] = nil
            state.failures["nft"] = [listed]
        }
        await keeper.check()
        #expect(await keeper.status.plane == .nftables)
        #expect(await keeper.status.condition == .ok)
        #expect(host.state.withLock { $0.nftables } == before)
        #expect(host.iptables("iptables-legacy").saved.contains("FLANNEL") == false)
    }

    @Test func oldIptablesMasqueradesWithoutRandomPorts() async throws {
        let host = FakeHost.debian("legacy")
        let ignorance = CommandOutput(
            exitStatus: 2,
            error: "iptables-restore v1.6.0: unknown option \"--random-fully\"\nError occurred at line: 6\n")
        host.state.withLock { $0.failures["iptables-restore"] = [ignorance] }
        let keeper = keeper(host)
        let status = try await keeper.update(ruleset())
        #expect(status.plane == .iptablesLegacy && status.condition == .ok && status.writes == 1)
        #expect(!host.iptables("iptables-legacy").saved.contains("--random-fully"))
        #expect(host.iptables("iptables-legacy").saved.contains("-j MASQUERADE"))
        #expect(await keeper.check().writes == 1)
    }

    @Test func missingIPv6IsAFindingAndIPv4Works() async throws {
        // No ip6tables, and no nft to take its place.
        let host = FakeHost(tools: ["iptables-restore", "iptables-save"])
        let status = try await keeper(host).update(ruleset(ipv6: true))
        #expect(status.isApplied && status.plane == .iptablesLegacy)
        #expect(
            findings(status) == [
                FirewallFinding(
                    summary: "IPv6 firewall rules cannot be set: ip6tables-restore is not installed",
                    remedy: "install iptables, or set EnableIPv6 to false")
            ])
        #expect(host.iptables("iptables-legacy").saved.contains("FLANNEL-FWD"))
        // With nft both families go there.
        host.state.withLock { $0.paths["nft"] = "/usr/sbin/nft" }
        let both = try await keeper(host).update(ruleset(ipv6: true))
        #expect(both.condition == .ok && both.plane == .nftables)
        #expect(host.state.withLock { $0.nftables.count } == 2)
    }

    @Test func kernelWithoutIPv6TablesIsAFindingAndIPv4Works() async throws {
        let host = FakeHost(tools: ["iptables-restore", "iptables-save", "ip6tables-restore", "ip6tables-save"])
        host.state.withLock { $0.failures["ip6tables-restore"] = Array(repeating: Self.noIPv6, count: 9) }
        let keeper = keeper(host)
        let status = try await keeper.update(ruleset(ipv6: true))
        #expect(status.isApplied)
        #expect(findings(status)[0].summary.contains("can't initialize ip6tables table `nat'"))
        #expect(findings(status)[0].remedy.contains("ip6table_nat"))
        #expect(host.iptables("iptables-legacy").saved.contains("FLANNEL-FWD"))
        #expect(await keeper.check().writes == status.writes)
        // An overlay of IPv6 alone has nothing else.
        let alone = Ruleset(ipv4: nil, ipv6: try ruleset(ipv6: true).ipv6, masquerade: true)
        #expect(await !keeper.update(alone).isApplied)
    }

    /// One family that nft refuses does not cost the other its rules.
    @Test func nftablesWithoutIPv6StillHasIPv4() async throws {
        let host = FakeHost(tools: ["nft"])
        let refusal = CommandOutput(exitStatus: 1, error: "Error: Could not process rule: Operation not supported\n")
        let keeper = keeper(host)
        try await keeper.update(ruleset())
        host.state.withLock { $0.nftables = [:] }
        host.state.withLock { state in
            // list, both at once, IPv4 alone, IPv6 alone
            state.failures["nft"] = [CommandOutput(), refusal]
        }
        let status = try await keeper.update(ruleset(ipv6: true))
        #expect(status.isApplied)
        #expect(host.state.withLock { $0.nftables.count } == 2)
    }
}
