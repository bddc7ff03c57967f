import Logging
import Testing

@testable import Firewall

@Suite struct KeeperTests {
    private func keeper(
        _ host: FakeHost, _ preference: FirewallPreference = .automatic, resync: Duration = .zero
    ) -> FirewallKeeper {
        FirewallKeeper(
            preference: preference, resync: resync, runner: host, hostTables: HostTables(directory: "/nonexistent"),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    @Test func firstApplicationTakesTwoProcessesAndNoneForIPv6() async throws {
        let iptables = FakeHost.debian()
        let status = try await keeper(iptables).update(ruleset())
        #expect(status.condition == .ok && status.isApplied && status.plane == .iptablesNft)
        #expect(Array(iptables.tools.prefix(2)) == ["iptables-save", "iptables-restore"])
        #expect(!iptables.tools.contains { $0.hasPrefix("ip6") })

        let nft = FakeHost(tools: ["nft"])
        try await keeper(nft).update(ruleset(ipv6: true))
        #expect(nft.tools == ["nft", "nft"])
    }

    @Test(arguments: [FirewallPreference.iptables, .nftables])
    func rightRulesAreNotWritten(preference: FirewallPreference) async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host, preference)
        let writes = try await keeper.update(ruleset(ipv6: true)).writes
        for _ in 0..<3 { #expect(await keeper.check().writes == writes) }
        #expect(try await keeper.update(ruleset(ipv6: true)).writes == writes)
        // Another keeper after a restart finds them right too.
        let next = self.keeper(host, preference)
        #expect(try await next.update(ruleset(ipv6: true)).writes == 0)
    }

    @Test func deletedAndReorderedRulesComeBackAndForeignOnesStay() async throws {
        let host = FakeHost.debian()
        host.setIptables("iptables-nft", RendererTests.docker)
        let keeper = keeper(host)
        try await keeper.update(ruleset())
        let right = host.iptables("iptables-nft")
        let breakages = [
            "*nat\n:FLANNEL-POSTRTG - [0:0]\n", "*filter\n:FLANNEL-FWD - [0:0]\n-A FLANNEL-FWD -j DROP\n",
            "*filter\n-D FORWARD -m comment --comment \"flanneld forward\" -j FLANNEL-FWD\n",
            "*nat\n-D POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n"
                + ":FLANNEL-POSTRTG - [0:0]\n-X FLANNEL-POSTRTG\n",
            """
            *nat
            -D FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
            -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN

            """,
        ]
        for (index, breakage) in breakages.enumerated() {
            host.restore("iptables-nft", breakage)
            #expect(host.iptables("iptables-nft") != right)
            let status = await keeper.check()
            #expect(host.iptables("iptables-nft") == right, "\(breakage)")
            #expect(status.repairs == index + 1)
        }
        host.restore("iptables-nft", "*filter\n-A FORWARD -s 192.0.2.0/24 -j DROP\n")
        let writes = await keeper.status.writes
        #expect(await keeper.check().writes == writes)
    }

    @Test func masqueradeOffRemovesWhatItAdded() async throws {
        for preference in [FirewallPreference.iptables, .nftables] {
            let host = FakeHost.debian()
            let keeper = keeper(host, preference)
            try await keeper.update(ruleset())
            try await keeper.update(ruleset(masquerade: false))
            #expect(host.iptables("iptables-nft").chain("nat", "POSTROUTING")?.rules ?? [] == [])
            #expect(host.iptables("iptables-nft").chain("nat", "FLANNEL-POSTRTG") == nil)
            let table = host.state.withLock { $0.nftables[NftablesRenderer.table(.ipv4)] }
            #expect(table?["postrtg"] == nil)
            #expect((table?["forward"] != nil) == (preference == .nftables))
        }
    }

    @Test func switchingPlaneRemovesTheOldRules() async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host, .iptables)
        try await keeper.update(ruleset(ipv6: true))
        let there = try await keeper.update(ruleset(ipv6: true), preference: .nftables)
        #expect(there.plane == .nftables)
        #expect(!host.iptables("iptables-nft").saved.contains("FLANNEL"))
        #expect(!host.iptables("ip6tables-nft").saved.contains("FLANNEL"))
        #expect(host.state.withLock { $0.nftables.count } == 2)
        let back = try await keeper.update(ruleset(ipv6: true), preference: .iptables)
        #expect(back.plane == .iptablesNft)
        #expect(host.iptables("iptables-nft").saved.contains("FLANNEL-FWD"))
        #expect(host.state.withLock { $0.nftables.isEmpty })
    }

    @Test func familySwitchedOffIsCleanedUp() async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host)
        try await keeper.update(ruleset(ipv6: true))
        #expect(host.iptables("ip6tables-nft").saved.contains("FLANNEL"))
        try await keeper.update(ruleset())
        #expect(!host.iptables("ip6tables-nft").saved.contains("FLANNEL"))
        host.forgetCalls()
        await keeper.check()
        #expect(!host.tools.contains { $0.hasPrefix("ip6") })
    }

    @Test func nftablesPlaneAcceptsInADroppingIptablesPlaneToo() async throws {
        let host = FakeHost.debian()
        host.setIptables("iptables-nft", RendererTests.docker)
        let status = try await keeper(host, .nftables).update(ruleset())
        #expect(status.condition == .ok)
        let forward = host.iptables("iptables-nft").chain("filter", "FORWARD")?.rules
        #expect(forward?.map { IptablesState.target($0) } == ["DOCKER-USER", "FLANNEL-FWD", "DOCKER"])
        #expect(host.iptables("iptables-nft").tables["nat"] == nil)
    }

    @Test func operatorsDroppingChainIsReportedUntilItAccepts() async throws {
        let host = FakeHost.debian()
        let key = NftablesListing.TableKey(family: "inet", name: "fw")
        host.state.withLock {
            $0.nftables[key] = [
                "fwd": .init(
                    hook: "type filter hook forward priority 0; policy drop;", rules: ["ip saddr 10.5.0.0/16 accept"])
            ]
        }
        let keeper = keeper(host)
        let status = try await keeper.update(ruleset())
        guard case .findings(let findings) = status.condition else {
            Issue.record("no finding: \(status)")
            return
        }
        #expect(status.isApplied)
        #expect(findings.map(\.summary) == ["nftables chain inet fw fwd drops forwarded overlay traffic"])
        #expect(findings[0].remedy.hasSuffix("nft insert rule inet fw fwd ip daddr 10.5.0.0/16 accept"))
        host.state.withLock { $0.nftables[key]?["fwd"]?.rules.append("ip daddr 10.0.0.0/8 accept") }
        #expect(await keeper.check().condition == .ok)
    }

    @Test func dockersRulesThatStopOverlayTrafficAreReported() async throws {
        let host = FakeHost.debian()
        host.setIptables(
            "iptables-nft",
            """
            *raw
            :PREROUTING ACCEPT [0:0]
            -A PREROUTING -d 10.5.34.2/32 ! -i docker0 -j DROP
            COMMIT
            *nat
            :POSTROUTING ACCEPT [0:0]
            -A POSTROUTING -s 10.5.34.0/24 ! -o docker0 -j MASQUERADE
            COMMIT
            """)
        let status = try await keeper(host).update(ruleset())
        guard case .findings(let findings) = status.condition else {
            Issue.record("no finding: \(status)")
            return
        }
        #expect(findings.count == 2)
        #expect(findings[0].remedy.contains("allow-direct-routing"))
        #expect(findings[1].remedy.contains("--ip-masq=false"))
    }

    @Test func missingCommandsAreNamed() async throws {
        let none = try await keeper(FakeHost(tools: [])).update(ruleset())
        #expect(
            none.condition
                == .failing(
                    cause: "neither iptables-restore nor nft is installed", remedy: "install nftables or iptables"))
        #expect(!none.isApplied)
    }

    @Test(arguments: [
        (4, "Another app is currently holding the xtables lock.", "another program is changing the firewall"),
        (3, "iptables-restore v1.8.9: can't initialize iptables table `nat'", "load the kernel modules"),
        (4, "iptables-restore: Permission denied (you must be root)", "run as root"),
    ])
    func failureNamesCommandMessageAndRemedy(status: Int32, message: String, remedy: String) async throws {
        let host = FakeHost(tools: ["iptables-restore", "iptables-save"])
        host.state.withLock {
            $0.failures["iptables-restore"] = [.init(exitStatus: status, error: "# x\n\(message)\n")]
        }
        let keeper = keeper(host)
        guard case .failing(let cause, let advice) = try await keeper.update(ruleset()).condition else {
            Issue.record("did not fail")
            return
        }
        #expect(cause == "iptables-restore --noflush --wait 5 failed with status \(status): \(message)")
        #expect(advice.contains(remedy))
        let status = await keeper.check()
        #expect(status.condition == .ok && status.isApplied && status.repairs == 0)
    }

    @Test func brokenIPv6DoesNotStopIPv4() async throws {
        let host = FakeHost.debian()
        host.state.withLock { $0.failures["ip6tables-save"] = [.init(exitStatus: 3, error: "no IPv6")] }
        let status = try await keeper(host).update(ruleset(ipv6: true))
        #expect(!status.isApplied)
        #expect(host.iptables("iptables-nft").saved.contains("FLANNEL-FWD"))
    }

    @Test func anotherPrintingOfRightRulesIsRightAndNothingElseIs() async throws {
        let host = FakeHost(tools: ["nft"])
        let rule = "meta mark & 0x4000 == 0x4000 return"
        host.state.withLock { $0.printed[rule] = "meta mark 0x4000/0x4000 return" }
        let keeper = keeper(host)
        try await keeper.update(ruleset())
        #expect(await keeper.check().writes == 1)
        // Changed again and again, at once after each repair, it never becomes the right one.
        for writes in 2..<5 {
            host.state.withLock { _ = $0.nftables[NftablesRenderer.table(.ipv4)]?["postrtg"]?.rules.popLast() }
            #expect(await keeper.check().writes == writes)
            #expect(host.state.withLock { $0.nftables[NftablesRenderer.table(.ipv4)]?["postrtg"]?.rules.count } == 6)
        }
    }

    @Test func deletedNftablesTableComesBack() async throws {
        let host = FakeHost(tools: ["nft"])
        let keeper = keeper(host)
        try await keeper.update(ruleset(ipv6: true))
        host.state.withLock { $0.nftables = [:] }
        #expect(await keeper.check().repairs == 1)
        #expect(host.state.withLock { $0.nftables.count } == 2)
    }

    @Test func removeEverythingLeavesNoRule() async throws {
        let host = FakeHost.debian()
        host.setIptables("iptables-nft", RendererTests.docker)
        let before = host.iptables("iptables-nft")
        for preference in [FirewallPreference.iptables, .nftables] {
            let keeper = keeper(host, preference)
            try await keeper.update(ruleset(ipv6: true))
            try await keeper.removeEverything()
            #expect(host.iptables("iptables-nft").tables["filter"] == before.tables["filter"])
            #expect(!host.iptables("ip6tables-nft").saved.contains("FLANNEL"))
            #expect(host.state.withLock { $0.nftables.isEmpty })
            host.forgetCalls()
            await keeper.check()
            #expect(host.tools.isEmpty)
        }
    }

    /// `run` is driven by notes alone here: resync is off.
    @Test func notesCauseOneCheckAndFailuresAreRetried() async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host)
        try await keeper.update(ruleset())
        host.forgetCalls()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await keeper.run() }
            for _ in 0..<1000 { keeper.noteChange() }
            #expect(await poll { host.tools.contains("iptables-save") })
            #expect(host.tools.filter { $0 == "iptables-save" }.count <= 2)

            host.restore("iptables-nft", "*filter\n:FLANNEL-FWD - [0:0]\n")
            host.state.withLock { $0.failures["iptables-restore"] = [.init(exitStatus: 4, error: "busy")] }
            keeper.noteChange()
            #expect(await poll { await keeper.status.writes == 2 })
            #expect(host.iptables("iptables-nft").chain("filter", "FLANNEL-FWD")?.rules.count == 2)
            group.cancelAll()
        }
    }

    /// As when systemd stops the service, and a command of it gets the signal before the daemon does.
    @Test func commandsThatAreStoppedWithTheDaemonAreNoFailure() async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host)
        try await keeper.update(ruleset())
        host.forgetCalls()
        host.state.withLock { $0.failures["iptables-save"] = [.init(exitStatus: 143, error: "")] }
        let check = Task { await keeper.check() }
        #expect(await poll { host.tools.contains("iptables-save") })
        check.cancel()
        #expect(await check.value.condition == .ok)
        // The same with a daemon that goes on is one.
        host.state.withLock { $0.failures["iptables-save"] = [.init(exitStatus: 143, error: "")] }
        #expect(await keeper.check().condition != .ok)
    }

    @Test func anotherProgramThatAlwaysUndoesIsNamed() async throws {
        let host = FakeHost.debian()
        let keeper = keeper(host)
        try await keeper.update(ruleset())
        for _ in 0..<5 {
            host.restore("iptables-nft", "*filter\n:FLANNEL-FWD - [0:0]\n")
            await keeper.check()
        }
        guard case .findings(let findings) = await keeper.status.condition else {
            Issue.record("no finding")
            return
        }
        #expect(findings[0].summary.contains("another program keeps changing"))
    }

    private func poll(_ condition: () async -> Bool) async -> Bool {
        for _ in 0..<500 {
            if await condition() { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }
}
