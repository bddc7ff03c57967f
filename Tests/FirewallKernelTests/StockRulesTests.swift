import Testing

@testable import Firewall

extension InTheKernel {
    /// What each stock flannel leaves in the kernel, and what is left of it beside Weft's rules: nothing.
    @Suite struct StockRulesTests {
        /// v0.28 with EnableNFTables: its two tables, also when there is no IPv6, with comments of its own.
        private static let v028Nftables = """
            add table ip flannel-ipv4 { comment "rules for flannel-ipv4" ; }
            add table ip6 flannel-ipv6 { comment "rules for flannel-ipv6" ; }
            add chain ip flannel-ipv4 forward { type filter hook forward priority 0 ; comment "forward" ; }
            add rule ip flannel-ipv4 forward ip saddr 10.5.0.0/16 accept
            add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept
            add chain ip flannel-ipv4 postrtg { type nat hook postrouting priority 100 ; comment "masquerade" ; }
            add rule ip flannel-ipv4 postrtg meta mark 0x4000 return
            add rule ip flannel-ipv4 postrtg ip saddr 10.5.34.0/24 ip daddr 10.5.0.0/16 return
            add rule ip flannel-ipv4 postrtg ip saddr 10.5.0.0/16 ip daddr 10.5.34.0/24 return
            add rule ip flannel-ipv4 postrtg ip saddr != 10.5.34.0/24 ip daddr 10.5.0.0/16 return
            add rule ip flannel-ipv4 postrtg ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
            add rule ip flannel-ipv4 postrtg ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random

            """

        /// v0.28 in its iptables mode, behind what others have, in both families.
        private static func v028Iptables(_ family: IPFamily) -> String {
            let network = family == .ipv4 ? "10.5.0.0/16" : "fd00:10:5::/48"
            let subnet = family == .ipv4 ? "10.5.34.0/24" : "fd00:10:5:34::/64"
            let comment = #"-m comment --comment "flanneld masq""#
            return """
                *nat
                :FLANNEL-POSTRTG - [0:0]
                -A POSTROUTING \(comment) -j FLANNEL-POSTRTG
                -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 \(comment) -j RETURN
                -A FLANNEL-POSTRTG -s \(subnet) -d \(network) \(comment) -j RETURN
                -A FLANNEL-POSTRTG -s \(network) -d \(subnet) \(comment) -j RETURN
                -A FLANNEL-POSTRTG ! -s \(network) -d \(subnet) \(comment) -j RETURN
                -A FLANNEL-POSTRTG -s \(network) ! -d \(family == .ipv4 ? "224.0.0.0/4" : "ff00::/8") \(comment) -j MASQUERADE
                -A FLANNEL-POSTRTG ! -s \(network) -d \(network) \(comment) -j MASQUERADE --random-fully
                COMMIT
                *filter
                :FLANNEL-FWD - [0:0]
                -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
                -A FLANNEL-FWD -s \(network) -m comment --comment "flanneld forward" -j ACCEPT
                -A FLANNEL-FWD -d \(network) -m comment --comment "flanneld forward" -j ACCEPT
                COMMIT

                """
        }

        /// All rules of the host, without what counts.
        private func rules(_ namespaces: Namespaces) async throws -> [Substring] {
            let script = """
                for c in iptables ip6tables; do
                    echo $c; $c-nft-save; ! grep -qs . /proc/net/${c%tables}_tables_names || $c-legacy-save
                done
                for t in 'ip flannel-ipv4' 'ip6 flannel-ipv6'; do nft list table $t || true; done
                """
            return try await namespaces.run("host", script).split(separator: "\n")
                // Stock's comments on tables and chains stay with these.
                .filter { !$0.hasPrefix("#") && !$0.hasPrefix("\tcomment ") && !$0.hasPrefix("\t\tcomment ") }
                .map { $0.hasPrefix(":") ? $0.prefix { $0 != "[" } : $0 }
        }

        @Test(arguments: Setup.all, [false, true])
        func hostIsAsIfWeftHadAlwaysBeenThere(_ setup: Setup, wasNftables: Bool) async throws {
            var found: [[Substring]] = []
            for isUpgrade in [true, false] {
                try await Namespaces.with(["host"]) { namespaces in
                    // The built-in chains are there in both runs.
                    try await namespaces.run(
                        "host",
                        """
                        for c in iptables ip6tables; do
                            $c-\(setup.flavour) -A FORWARD -j DROP
                            $c-\(setup.flavour) -t nat -A POSTROUTING -o eth9 -j MASQUERADE
                        done
                        """)
                    if isUpgrade, wasNftables {
                        try await namespaces.run("host", "nft -f - <<'END'\n\(Self.v028Nftables)END\n")
                    } else if isUpgrade {
                        for family in IPFamily.allCases {
                            try await namespaces.run(
                                "host",
                                "\(family.iptablesName)-\(setup.flavour)-restore --noflush <<'END'\n"
                                    + "\(Self.v028Iptables(family))END\n")
                        }
                    }
                    let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                    // Of stock's two families the config has lost one meanwhile.
                    for ipv6 in [true, false] {
                        #expect(try await keeper.update(ruleset(ipv6: ipv6)).condition == .ok)
                        found.append(try await rules(namespaces))
                    }
                }
            }
            #expect(found[0] == found[2])
            #expect(found[1] == found[3])
            #expect(found[1].count < found[0].count)
        }

        /// v0.11 comes back: its rules are appended behind Weft's, which then go.
        @Test(arguments: Setup.all)
        func backToV011NothingOfWeftsStays(_ setup: Setup) async throws {
            let command = "iptables-\(setup.flavour)"
            let v011 = """
                \(command) -t nat -A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN
                \(command) -t nat -A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
                \(command) -t nat -A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.34.0/24 -j RETURN
                \(command) -t nat -A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE --random-fully
                \(command) -A FORWARD -s 10.5.0.0/16 -j ACCEPT
                \(command) -A FORWARD -d 10.5.0.0/16 -j ACCEPT
                """
            var found: [[Substring]] = []
            for isReturn in [true, false] {
                try await Namespaces.with(["host"]) { namespaces in
                    try await namespaces.run(
                        "host", "\(command) -P FORWARD DROP; \(command) -t nat -A POSTROUTING -j LOG")
                    if isReturn {
                        try await namespaces.keeper("host", setup.preference, legacy: setup.isLegacy).update(ruleset())
                    }
                    try await namespaces.run("host", v011)
                    // By another process, which knows neither network nor plane.
                    let remover = namespaces.keeper("host", .automatic, legacy: setup.isLegacy)
                    if isReturn { #expect(try await remover.removeEverything() > 0) }
                    found.append(try await rules(namespaces))
                }
            }
            #expect(found[0] == found[1])
        }
    }
}
