import Glibc
import IPNetwork
import LinuxSystem
import Testing

@testable import Firewall

/// Which plane a test asks for, and which flavour the host's `iptables` is.
struct Setup: CustomTestStringConvertible, Sendable {
    var preference: FirewallPreference
    var isLegacy: Bool
    var flavour: String { isLegacy ? "legacy" : "nft" }
    var testDescription: String { preference == .nftables ? "nftables, iptables-\(flavour)" : "iptables-\(flavour)" }

    static let all = [
        Setup(preference: .iptables, isLegacy: false), Setup(preference: .iptables, isLegacy: true),
        Setup(preference: .nftables, isLegacy: false), Setup(preference: .nftables, isLegacy: true),
    ]
}

/// Network 10.5.0.0/16, this host holds 10.5.34.0/24; with IPv6 fd00:10:5::/48 and fd00:10:5:34::/64.
func ruleset(
    masquerade: Bool = true, own: [String] = ["10.5.34.0/24"], lost: [String] = [], ipv4: Bool = true,
    ipv6: Bool = false
) throws -> Ruleset {
    let v6 = try Ruleset.Overlay(
        network: #require(IPv6Prefix("fd00:10:5::/48")), ownSubnets: [#require(IPv6Prefix("fd00:10:5:34::/64"))])
    let v4 = try Ruleset.Overlay(
        network: #require(IPv4Prefix("10.5.0.0/16")), ownSubnets: own.compactMap { IPv4Prefix($0) },
        lostSubnets: lost.compactMap { IPv4Prefix($0) })
    return Ruleset(ipv4: ipv4 ? v4 : nil, ipv6: ipv6 ? v6 : nil, masquerade: masquerade)
}

/// Real rules in real kernels; one test at a time, since all share the lock of iptables-legacy.
@Suite(.serialized, .enabled(if: getuid() == 0, "needs root"))
enum InTheKernel {}

extension InTheKernel {
    @Suite struct FirewallKernelTests {
        /// Docker's chains and policy, and 50 rules of an operator's, as input for `iptables-restore`.
        private static func hostRules(_ family: IPFamily) -> String {
            let address = { (index: Int) in family == .ipv4 ? "192.0.2.\(index)/32" : "2001:db8::\(index)/128" }
            let filter = (1...25).map {
                "-A FORWARD -s \(address($0)) -p tcp -m tcp --dport \($0) -m comment "
                    + "--comment \"it's \\\"rule\\\" \($0)\" -j DROP"
            }
            let nat = (1...25).map { "-A POSTROUTING -s \(address($0)) -o eth9 -j MASQUERADE" }
            return """
                *filter
                :FORWARD DROP [0:0]
                :DOCKER - [0:0]
                :DOCKER-USER - [0:0]
                -A FORWARD -j DOCKER-USER
                -A FORWARD -o docker0 -j DOCKER
                \(filter.joined(separator: "\n"))
                -A DOCKER ! -i docker0 -o docker0 -j DROP
                -A DOCKER-USER -j RETURN
                COMMIT
                *nat
                \(nat.joined(separator: "\n"))
                COMMIT

                """
        }

        /// Both families' rules without comments and packet counts.
        private func saved(_ namespaces: Namespaces, _ flavour: String) async throws -> [Substring] {
            try await namespaces.run("host", "iptables-\(flavour)-save; ip6tables-\(flavour)-save 2>/dev/null")
                .split(separator: "\n").filter { !$0.hasPrefix("#") }
                .map { $0.hasPrefix(":") ? $0.prefix { $0 != "[" } : $0 }
        }

        private func prepare(_ namespaces: Namespaces, _ flavour: String) async throws {
            for (family, command) in [(IPFamily.ipv4, "iptables"), (.ipv6, "ip6tables")] {
                try await namespaces.run(
                    "host", "\(command)-\(flavour)-restore <<'END'\n\(Self.hostRules(family))END\n")
            }
        }

        @Test(arguments: Setup.all)
        func foreignRulesStayAndOursComeBack(_ setup: Setup) async throws {
            try await Namespaces.with(["host"]) { namespaces in
                try await prepare(namespaces, setup.flavour)
                try await namespaces.run(
                    "host", "nft add table inet op; nft 'add chain inet op c { type filter hook input priority 7; }'")
                let before = try await saved(namespaces, setup.flavour)
                let operators = try await namespaces.run("host", "nft list table inet op")

                let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                let status = try await keeper.update(ruleset(ipv6: true))
                #expect(status.condition == .ok)
                #expect(status.isApplied)
                let right = try await saved(namespaces, setup.flavour)
                #expect(right.filter { !$0.contains("FLANNEL") } == before)
                let tables = try await namespaces.run("host", "nft list tables")
                #expect(tables.contains("flannel-ipv4") == (setup.preference == .nftables))
                let jump = try #require(right.firstIndex { $0.hasPrefix("-A FORWARD") && $0.contains("FLANNEL-FWD") })
                #expect(right[jump - 1] == "-A FORWARD -j DOCKER-USER")
                #expect(right.contains { $0.contains("-j FLANNEL-POSTRTG") } == (setup.preference == .iptables))

                for _ in 0..<3 { #expect(await keeper.check().writes == status.writes) }
                let restarted = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                #expect(try await restarted.update(ruleset(ipv6: true)).writes == 0)

                try await flushOurs(namespaces, setup)
                #expect(await keeper.check().repairs == 1)
                #expect(try await saved(namespaces, setup.flavour) == right)
                #expect(try await namespaces.run("host", "nft list tables") == tables)

                try await keeper.update(ruleset(masquerade: false, ipv6: true))
                let unmasked = try await namespaces.run("host", "nft list ruleset; iptables-\(setup.flavour)-save")
                #expect(!unmasked.contains("FLANNEL-POSTRTG") && !unmasked.contains("postrtg"))
                #expect(unmasked.contains("FLANNEL-FWD"))

                try await keeper.update(ruleset(ipv6: true))
                try await keeper.removeEverything()
                #expect(try await saved(namespaces, setup.flavour) == before)
                #expect(try await !namespaces.run("host", "nft list tables").contains("flannel"))
                #expect(try await namespaces.run("host", "nft list table inet op") == operators)
            }
        }

        private func flushOurs(_ namespaces: Namespaces, _ setup: Setup) async throws {
            let tables = setup.preference == .nftables
            try await namespaces.run(
                "host",
                """
                iptables-\(setup.flavour) -D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
                iptables-\(setup.flavour) -F FLANNEL-FWD
                ip6tables-\(setup.flavour) -D FLANNEL-FWD 1
                \(tables ? "nft flush chain ip flannel-ipv4 postrtg; nft delete table ip6 flannel-ipv6"
                : "iptables-\(setup.flavour) -t nat -F FLANNEL-POSTRTG")
                """)
        }

        @Test func switchingPlanesLeavesNothingBehind() async throws {
            try await Namespaces.with(["host"]) { namespaces in
                let rules = try ruleset(ipv6: true)
                func texts() async throws -> (nft: String, iptables: String, legacy: String) {
                    try await (
                        namespaces.run("host", "nft list tables"),
                        namespaces.run("host", "iptables-nft-save; ip6tables-nft-save"),
                        namespaces.run("host", "iptables-legacy-save; ip6tables-legacy-save")
                    )
                }
                for setup in [0, 2, 1, 2, 0, 1, 0].map({ Setup.all[$0] }) {
                    let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                    #expect(await keeper.update(rules).condition == .ok)
                    let texts = try await texts()
                    let plane = await keeper.status.plane
                    #expect(texts.nft.contains("flannel-ipv6") == (plane == .nftables))
                    #expect(texts.iptables.contains("FLANNEL-POSTRTG") == (plane == .iptablesNft))
                    #expect(texts.iptables.contains("FLANNEL-FWD") == (plane == .iptablesNft))
                    #expect(texts.legacy.contains("FLANNEL") == (plane == .iptablesLegacy))
                }
            }
        }

        /// What v0.11 put into POSTROUTING and FORWARD, and v0.28's own chain behind an operator's rule.
        @Test(arguments: Setup.all)
        func stockRulesAreTakenOver(_ setup: Setup) async throws {
            try await Namespaces.with(["host"]) { namespaces in
                let command = "iptables-\(setup.flavour)"
                try await namespaces.run(
                    "host",
                    """
                    \(command) -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
                    \(command) -A FORWARD -s 172.17.0.0/16 -j ACCEPT
                    """)
                let before = try await saved(namespaces, setup.flavour).filter { $0.hasPrefix("-") }
                try await namespaces.run(
                    "host",
                    """
                    \(command) -t nat -A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN
                    \(command) -t nat -A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
                    \(command) -t nat -A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.34.0/24 -j RETURN
                    \(command) -t nat -A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE --random-fully
                    \(command) -A FORWARD -s 10.5.0.0/16 -j ACCEPT
                    \(command) -A FORWARD -d 10.5.0.0/16 -j ACCEPT
                    \(command) -t nat -N FLANNEL-POSTRTG
                    \(command) -t nat -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
                    \(command) -t nat -A FLANNEL-POSTRTG -s 10.5.34.0/24 -d 10.5.0.0/16 -j RETURN
                    """)
                let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                #expect(try await keeper.update(ruleset()).condition == .ok)
                let rules = try await saved(namespaces, setup.flavour).filter { $0.hasPrefix("-") }
                #expect(rules.filter { !$0.contains("FLANNEL") } == before)
                if setup.preference == .iptables {
                    #expect(rules.first { $0.hasPrefix("-A POSTROUTING") }?.hasSuffix("-j FLANNEL-POSTRTG") == true)
                    #expect(rules.filter { $0.hasPrefix("-A FLANNEL-POSTRTG") }.count == 6)
                } else {
                    #expect(!rules.contains { $0.contains("FLANNEL-POSTRTG") })
                }
                #expect(await keeper.check().repairs == 0)
            }
        }

        /// What reloading a typical /etc/nftables.conf does to everybody's rules.
        @Test(arguments: [FirewallPreference.iptables, .nftables])
        func flushedRulesetComesBack(_ preference: FirewallPreference) async throws {
            try await Namespaces.with(["host"]) { namespaces in
                let keeper = namespaces.keeper("host", preference)
                try await keeper.update(ruleset(ipv6: true))
                let text = { try await namespaces.run("host", "nft list ruleset") }
                let right = try await text()
                #expect(right.lowercased().contains("flannel"))
                try await namespaces.run("host", "nft flush ruleset")
                #expect(await keeper.check().condition == .ok)
                #expect(try await Set(text().split(separator: "\n")) == Set(right.split(separator: "\n")))
            }
        }

        @Test func legacyLockIsWaitedFor() async throws {
            try await Namespaces.with(["host"]) { namespaces in
                try await Namespaces.shell(
                    """
                    setsid flock /run/xtables.lock sleep 1 >/dev/null 2>&1 </dev/null &
                    for i in $(seq 100); do
                        if ! flock -n /run/xtables.lock true; then exit 0; fi
                        sleep 0.01
                    done
                    exit 1
                    """)
                let keeper = namespaces.keeper("host", .iptables, legacy: true)
                #expect(try await keeper.update(ruleset()).condition == .ok)
            }
        }

        @Test func operatorsDroppingChainIsReportedAndItsRemedyHelps() async throws {
            try await Namespaces.with(["host"]) { namespaces in
                try await namespaces.run(
                    "host",
                    """
                    nft add table inet fw
                    nft 'add chain inet fw gate { type filter hook forward priority 5; policy drop; }'
                    """)
                let keeper = namespaces.keeper("host", .nftables)
                guard case .findings(let findings) = try await keeper.update(ruleset()).condition else {
                    Issue.record("no finding")
                    return
                }
                #expect(findings.map(\.summary) == ["nftables chain inet fw gate drops forwarded overlay traffic"])
                let commands = try #require(findings[0].remedy.split(separator: ": ", maxSplits: 1).last)
                try await namespaces.run("host", String(commands))
                #expect(await keeper.check().condition == .ok)
            }
        }

        /// container 10.5.34.2 - host - outside 192.0.2.2, and peer 10.5.7.2 as a container of another host. Every plane
        /// drops forwarded packets by policy.
        @Test(arguments: Setup.all)
        func packetsPassWithTheRightAddresses(_ setup: Setup) async throws {
            try await Namespaces.with(["host", "container", "outside", "peer"]) { namespaces in
                try await namespaces.wire()
                try await namespaces.run("host", "iptables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP")
                #expect(try await !namespaces.pings("container", "10.5.7.2"))

                let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                #expect(try await keeper.update(ruleset()).condition == .ok)
                try await namespaces.only(from: "10.5.34.2", "peer")
                #expect(try await namespaces.pings("container", "10.5.7.2"), "overlay to overlay keeps its source")
                try await namespaces.only(from: "192.0.2.1", "outside")
                #expect(try await namespaces.pings("container", "192.0.2.2"), "overlay to outside is masqueraded")
                try await namespaces.run("outside", "ip route add 10.5.34.0/24 via 192.0.2.1")
                try await namespaces.only(from: "192.0.2.2", "container")
                #expect(try await namespaces.pings("outside", "10.5.34.2"), "outside to own subnet keeps its source")
                try await namespaces.run("outside", "nft flush ruleset; ip route del 10.5.34.0/24")
                try await namespaces.run("container", "nft flush ruleset")

                try await keeper.update(ruleset(masquerade: false))
                #expect(try await namespaces.pings("container", "10.5.7.2"))
                #expect(try await !namespaces.pings("container", "192.0.2.2"), "no route back without masquerading")

                try await keeper.update(ruleset(own: [], lost: ["10.5.34.0/24"]))
                #expect(try await !namespaces.pings("container", "10.5.7.2"))
                #expect(try await !namespaces.pings("peer", "10.5.34.2"))
                #expect(try await !namespaces.pings("container", "192.0.2.2"))

                try await keeper.update(ruleset())
                #expect(try await namespaces.pings("peer", "10.5.34.2"))
            }
        }
    }
}
