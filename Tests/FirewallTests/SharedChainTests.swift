import IPNetwork
import Logging
import Testing

@testable import Firewall

/// The daemons of several networks on one host, of which each keeps its own rules in the chains that all share.
@Suite struct SharedChainTests {
    private func keeper(_ host: FakeHost, _ preference: FirewallPreference) -> FirewallKeeper {
        FirewallKeeper(
            preference: preference, resync: .zero, runner: host, hostTables: HostTables(directory: "/nonexistent"),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Network 10.N.0.0/16 and fd00:10:N::/48, of which this host holds the 34th subnet.
    private func network(
        _ number: Int, masquerade: Bool = true, forward: Bool = true, lost: [String] = []
    ) throws -> Ruleset {
        try Ruleset(
            ipv4: .init(
                network: #require(IPv4Prefix("10.\(number).0.0/16")),
                ownSubnets: [#require(IPv4Prefix("10.\(number).34.0/24"))],
                lostSubnets: lost.compactMap { IPv4Prefix($0) }),
            ipv6: .init(
                network: #require(IPv6Prefix("fd00:10:\(number)::/48")),
                ownSubnets: [#require(IPv6Prefix("fd00:10:\(number):34::/64"))]),
            masquerade: masquerade, forward: forward)
    }

    /// All rules in flannel's chains, of both tools and families.
    private func rules(_ host: FakeHost) -> Set<String> {
        let state = host.state.withLock { $0 }
        var rules: Set<String> = []
        for (tool, tables) in state.iptables {
            for (table, chains) in tables.tables {
                for (name, chain) in chains { rules.formUnion(chain.rules.map { "\(tool) \(table) \(name) \($0)" }) }
            }
        }
        for (table, chains) in state.nftables {
            for (name, chain) in chains { rules.formUnion(chain.rules.map { "\(table.name) \(name) \($0)" }) }
        }
        return rules
    }

    private func names(_ host: FakeHost, _ number: Int) -> Int {
        rules(host).count { $0.contains("10.\(number).") || $0.contains("fd00:10:\(number):") }
    }

    private static let planes: [FirewallPreference] = [.iptables, .nftables]

    /// However often each looks, nobody writes once all three are there.
    @Test(arguments: planes, planes)
    func threeNetworksComeToRest(first: FirewallPreference, second: FirewallPreference) async throws {
        let host = FakeHost.debian()
        let keepers = [keeper(host, first), keeper(host, second), keeper(host, first)]
        for (index, keeper) in keepers.enumerated() {
            #expect(try await keeper.update(network(index + 5)).condition == .ok)
        }
        // Each may have to go before what the next ones put.
        for keeper in keepers { await keeper.check() }
        let before = rules(host)
        var writes: [Int] = []
        for keeper in keepers { writes.append(await keeper.status.writes) }
        for _ in 0..<20 {
            for (index, keeper) in keepers.enumerated() { #expect(await keeper.check().writes == writes[index]) }
        }
        #expect(rules(host) == before)
        #expect(writes.reduce(0, +) < 15)
        for number in 5...7 { #expect(names(host, number) == 2 * (4 + 2)) }
        // A restart of each writes nothing either.
        for (index, preference) in [first, second, first].enumerated() {
            #expect(try await keeper(host, preference).update(network(index + 5)).writes == 0)
        }
    }

    @Test(arguments: planes)
    func eachHealsItsOwnAndLeavesTheOthers(preference: FirewallPreference) async throws {
        let host = FakeHost.debian()
        let (five, six) = (keeper(host, preference), keeper(host, preference))
        try await five.update(network(5))
        try await six.update(network(6))
        let right = rules(host)
        // A stock daemon, or an operator, empties what is everybody's.
        host.state.withLock { state in
            for key in state.iptables.keys {
                for (table, chains) in state.iptables[key]?.tables ?? [:] {
                    for name in chains.keys { state.iptables[key]?.tables[table]?[name]?.rules = [] }
                }
            }
            state.nftables = state.nftables.mapValues { $0.mapValues { .init(hook: $0.hook) } }
        }
        #expect(await five.check().repairs == 1)
        #expect(names(host, 5) == 12)
        #expect(names(host, 6) == 0, "one's rules are put by another")
        #expect(await six.check().repairs == 1)
        #expect(await five.check().repairs == 1)
        #expect(rules(host) == right)
    }

    /// With its own rules gone, or the tool changed, one network leaves the others' as they are; the last one takes all.
    @Test(arguments: planes)
    func oneLeaves(preference: FirewallPreference) async throws {
        let host = FakeHost.debian()
        host.setIptables("iptables-nft", RendererTests.docker)
        let untouched = rules(host)
        let (five, six) = (keeper(host, preference), keeper(host, preference))
        try await six.update(network(6))
        let alone = rules(host)
        let other: FirewallPreference = preference == .iptables ? .nftables : .iptables
        for change in [
            { try await five.update(network(5, masquerade: false, forward: false)).condition == .ok },
            { try await five.update(network(5), preference: other).condition == .ok },
        ] {
            try await five.update(network(5), preference: preference)
            #expect(rules(host).isStrictSuperset(of: alone))
            let writes = await six.check().writes
            #expect(try await change())
            #expect(await six.check().writes == writes)
            #expect(rules(host).isSuperset(of: alone))
        }
        try await five.update(network(5, masquerade: false, forward: false))
        #expect(rules(host) == alone)
        try await six.update(network(6, masquerade: false, forward: false))
        #expect(rules(host) == untouched)
        #expect(host.state.withLock { $0.nftables.isEmpty })
    }

    /// The rules of networks that run stay; those of one whose daemon is gone go.
    @Test(arguments: planes)
    func removalKeepsWhatRuns(preference: FirewallPreference) async throws {
        let host = FakeHost.debian()
        let six = keeper(host, preference)
        try await six.update(network(6))
        let alone = rules(host)
        try await keeper(host, preference).update(network(5))
        try await keeper(host, preference).removeEverything(keeping: [
            #require(IPPrefix("10.6.0.0/16")), #require(IPPrefix("fd00:10:6::/48")),
        ])
        #expect(rules(host) == alone)
        try await keeper(host, preference).removeEverything()
        #expect(rules(host).isEmpty)
    }

    /// A former network is taken away once: another daemon may serve it by now.
    @Test(arguments: planes)
    func formerNetworkGoesOnce(preference: FirewallPreference) async throws {
        let host = FakeHost.debian()
        try await keeper(host, preference).update(network(5))
        let next = keeper(host, preference)
        var ruleset = try network(6)
        ruleset.formerNetworks = try [#require(IPPrefix("10.5.0.0/16")), #require(IPPrefix("fd00:10:5::/48"))]
        await next.update(ruleset)
        #expect(names(host, 5) == 0)
        #expect(names(host, 6) == 12)
        let five = keeper(host, preference)
        try await five.update(network(5))
        let writes = await next.update(ruleset).writes
        #expect(await next.check().writes == writes)
        #expect(names(host, 5) == 12)
        // And a network that changes while the daemon runs.
        ruleset.formerNetworks = []
        ruleset.ipv4 = try network(7).ipv4
        await next.update(ruleset)
        #expect(rules(host).count { $0.contains("10.6.") } == 0)
        #expect(rules(host).count { $0.contains("10.7.") } == 6)
        #expect(names(host, 5) == 12)
    }

    /// Whoever comes first: a packet is masqueraded if one network's rules alone would do it, and a lost subnet's is
    /// dropped though another network accepts it.
    @Test(arguments: planes, [[5, 6], [6, 5]])
    func orderOfDaemonsDoesNotMatter(preference: FirewallPreference, order: [Int]) async throws {
        let host = FakeHost.debian()
        var keepers: [FirewallKeeper] = []
        for number in order {
            let keeper = keeper(host, preference)
            try await keeper.update(network(number, lost: ["10.\(number).7.0/24"]))
            keepers.append(keeper)
        }
        for keeper in keepers { await keeper.check() }
        let state = host.state.withLock { $0 }
        let isIptables = preference == .iptables
        let chain = { (table: String, iptables: String, nftables: String) -> [String] in
            isIptables
                ? state.iptables["iptables-nft"]?.chain(table, iptables)?.rules.map { IptablesState.line($0) } ?? []
                : state.nftables[NftablesRenderer.table(.ipv4)]?[nftables]?.rules ?? []
        }
        let nat = chain("nat", "FLANNEL-POSTRTG", "postrtg")
        #expect(nat.count == 2 + 2 * 4)
        #expect(nat[0].contains("0x4000") && nat[1].contains("lo"))
        for number in order {
            let network = "10.\(number).0.0/16"
            let leaves = isIptables ? "-s \(network) ! -d 224" : "ip saddr \(network) ip daddr != 224"
            let early = try #require(nat.firstIndex { $0.hasPrefix(leaves) })
            let late = try #require(nat.firstIndex { $0.contains(isIptables ? "! -s 10." : "saddr != 10.") })
            #expect(early < late)
        }
        let forward = chain("filter", "FLANNEL-FWD", "forward")
        let lastDrop = try #require(forward.lastIndex { $0.lowercased().hasSuffix("drop") })
        let firstAccept = try #require(forward.firstIndex { $0.lowercased().hasSuffix("accept") })
        #expect(forward.count == 2 * 4 && lastDrop < firstAccept)
    }

    /// A stock daemon of another network: it wants its rules there, in any order, and puts its mark rule anywhere.
    @Test func stockOfAnotherNetworkIsLeftInPeace() async throws {
        let host = FakeHost.debian()
        let mark = #"-m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN"#
        let stock = [
            #"-s 10.9.0.0/16 -d 10.9.0.0/16 -m comment --comment "flanneld masq" -j RETURN"#,
            #"-s 10.9.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully"#,
            #"! -s 10.9.0.0/16 -d 10.9.3.0/24 -m comment --comment "flanneld masq" -j RETURN"#,
            #"! -s 10.9.0.0/16 -d 10.9.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully"#,
        ]
        host.setIptables(
            "iptables-nft",
            """
            *nat
            :POSTROUTING ACCEPT [0:0]
            :FLANNEL-POSTRTG - [0:0]
            -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
            \(([mark] + stock).map { "-A FLANNEL-POSTRTG \($0)" }.joined(separator: "\n"))
            COMMIT
            """)
        let own = keeper(host, .iptables)
        try await own.update(ruleset())
        let chain = { () -> [String] in
            let state = host.iptables("iptables-nft").chain("nat", "FLANNEL-POSTRTG")
            return state?.rules.map { IptablesState.line($0) } ?? []
        }
        #expect(chain().filter { $0.contains("10.9.") } == stock)
        #expect(chain().count == 2 + 4 + 4)
        // It makes its rules anew, its mark rule behind those of others: that comes to the front once.
        host.restore("iptables-nft", "*nat\n-D FLANNEL-POSTRTG \(mark)\n-A FLANNEL-POSTRTG \(mark)\n")
        let writes = await own.check().writes
        #expect(chain().first == mark && chain().count == 10)
        #expect(await own.check().writes == writes)
        // What stands in flannel's chain and is nobody's goes; what is unmarked is nobody's.
        host.restore("iptables-nft", "*nat\n-I FLANNEL-POSTRTG 1 -s 192.0.2.0/24 -j ACCEPT\n")
        await own.check()
        #expect(chain().count == 10 && !chain().contains { $0.contains("192.0.2") })
        // Weft leaves: stock's stay, and its jump.
        try await own.update(ruleset(masquerade: false))
        #expect(chain() == [mark, #"-o lo -m comment --comment "flanneld masq" -j RETURN"#] + stock)
        let jumps = host.iptables("iptables-nft").chain("nat", "POSTROUTING")?.rules.count
        #expect(jumps == 1)
    }

    /// A transaction that another daemon's came before is made anew, from what is there now: here both begin on an empty
    /// host, and one is a moment later.
    @Test(arguments: planes)
    func overtakenTransactionIsMadeAnew(preference: FirewallPreference) async throws {
        let other = FakeHost.debian()
        try await keeper(other, preference).update(network(6))
        let (iptables, nftables) = other.state.withLock { ($0.iptables, $0.nftables) }
        let host = FakeHost.debian()
        host.state.withLock { state in
            let tool = preference == .iptables ? "iptables-restore" : "nft"
            state.interludes[tool] = [
                { state in
                    state.iptables = iptables
                    state.nftables = nftables
                }
            ]
        }
        let five = keeper(host, preference)
        #expect(try await five.update(network(5)).condition == .ok)
        #expect(names(host, 5) == 12 && names(host, 6) == 12)
        // The other's rules go while this one's transaction names some of them.
        let right = rules(host)
        host.state.withLock { state in
            for key in state.nftables.keys { state.nftables[key]?["postrtg"]?.rules.removeLast() }
            for key in state.iptables.keys {
                state.iptables[key]?.tables["nat"]?["FLANNEL-POSTRTG"]?.rules.removeLast()
            }
            let tool = preference == .iptables ? "iptables-restore" : "nft"
            state.interludes[tool] = [
                { state in
                    for key in state.nftables.keys { state.nftables[key]?["postrtg"]?.rules.removeAll() }
                    for key in state.iptables.keys {
                        state.iptables[key]?.tables["nat"]?["FLANNEL-POSTRTG"]?.rules.removeAll()
                    }
                }
            ]
        }
        #expect(await five.check().condition == .ok)
        #expect(names(host, 5) == 12)
        try await keeper(host, preference).update(network(6))
        #expect(rules(host) == right)
    }

    /// Prefixes as the tools print them, and what is no network's.
    @Test func traits() throws {
        let prefix = try #require(IPPrefix("10.5.34.7/32"))
        #expect(NftablesRenderer.traits("ip saddr 10.5.34.7 drop") == RuleTraits(prefixes: [prefix]))
        #expect(NftablesRenderer.traits("ip daddr != 224.0.0.0/4 masquerade").prefixes.isEmpty)
        #expect(NftablesRenderer.traits("ip6 saddr fd00::1 accept").prefixes == [IPPrefix("fd00::1/128")])
        #expect(NftablesRenderer.traits("ip saddr { 10.5.0.1, 10.5.0.2 } accept").prefixes.isEmpty)
        #expect(NftablesRenderer.traits("ip saddr !=").prefixes.isEmpty)
        #expect(NftablesRenderer.traits("ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade").isLate)
        #expect(!NftablesRenderer.traits("iifname \"flannel.1\" ip saddr 10.5.7.0/24 accept").isLate)
        let words = IptablesState.words(#"! -s 10.5.0.0/16 -d 10.5.34.7/32 -m comment --comment "x y" -j RETURN"#)
        let traits = IptablesRenderer.traits(words, comment: "x y")
        #expect(traits.isLate && traits.isMarked && traits.prefixes.count == 2)
        #expect(!IptablesRenderer.traits(words, comment: "x").isMarked)
        #expect(IptablesRenderer.traits(["-s"], comment: "x").prefixes.isEmpty)
    }
}
