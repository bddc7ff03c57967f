import Foundation
import IPNetwork
import Testing

extension EndToEnd {
    /// Which tool holds the rules changes on a host that runs, without a packet lost or a rule left behind.
    @Suite struct FirewallModeTests {
        private static func config(_ nftables: Bool?) -> String {
            let choice = nftables.map { #""EnableNFTables":\#($0),"# } ?? ""
            return #"{"Network":"10.5.0.0/16",\#(choice)"Backend":{"Type":"vxlan"}}"#
        }

        /// Docker's closed FORWARD, so that a moment without accepting rules costs packets.
        private static let docker = """
            iptables -P FORWARD DROP
            iptables -N DOCKER-USER
            iptables -A FORWARD -j DOCKER-USER
            """

        /// Waits until the rules are in the one place and nowhere else, but for the accepting that Docker's DROP asks for.
        private func settle(_ host: LabHost, nftables: Bool) async throws {
            let wanted = [
                "nft \(nftables)", "masquerading \(!nftables)", "accepting true", "legacy false",
            ]
            try await eventually("rules of \(host.namespace)", equals: { wanted }) {
                let rules = try host.shell("iptables-nft-save")
                let legacy = try host.shell(
                    "if grep -qs . /proc/net/ip_tables_names; then iptables-legacy-save; fi; ip6tables-nft-save")
                return [
                    "nft \(try host.shell("nft list tables").contains("flannel"))",
                    "masquerading \(rules.contains("FLANNEL-POSTRTG"))",
                    "accepting \(rules.contains("-A FLANNEL-FWD"))", "legacy \(legacy.contains("FLANNEL"))",
                ]
            }
            try await host.waitUntilReady()
        }

        @Test func changesUnderTraffic() async throws {
            try await TestLab.with(hosts: 2, config: Self.config(nil)) { lab in
                for host in lab.hosts { try host.shell(Self.docker) }
                try await lab.startAll()
                for host in lab.hosts { try await settle(host, nftables: false) }
                let containers = try lab.hosts.map { try $0.addContainer() }
                // Outside of the overlay, with no way back to a container's own address.
                let address = try #require(IPv4Address("172.30.0.1"))
                let outside = LabContainer(namespace: lab.switchNamespace, address: address)
                try await containers[0].reach(containers[1])
                try await containers[0].reach(outside)
                var inner = ""
                let tally = try await containers[0].pinging(containers[1]) {
                    let masqueraded = try await containers[0].pinging(outside) {
                        for nftables in [true, false, nil, true, nil] {
                            try lab.put(config: Self.config(nftables))
                            for host in lab.hosts { try await settle(host, nftables: nftables == true) }
                        }
                        // And while the daemon is away.
                        for nftables in [true, nil] {
                            lab.hosts[0].stop(SIGTERM)
                            try lab.put(config: Self.config(nftables))
                            try lab.hosts[0].start()
                            for host in lab.hosts { try await settle(host, nftables: nftables == true) }
                        }
                    }
                    #expect(masqueraded.lost == 0, "\(masqueraded)")
                    #expect(masqueraded.sent > 50)
                    inner = "\(masqueraded.lost) of \(masqueraded.sent)"
                }
                #expect(tally.lost == 0, "\(tally)")
                report("pings lost in 7 changes of the tool: \(tally.lost) of \(tally.sent), masqueraded \(inner)")
                for host in lab.hosts { #expect(host.logCount("ERROR") == 0, "\(host.log)") }
            }
        }

        /// From a stock daemon that knows no nftables into that mode, and back by way of the config.
        @Test(.enabled(if: StockDaemon.v3 != nil, "needs a stock flanneld; name it in FLANNELD"))
        func fromStockToNftablesAndBack() async throws {
            let stock = try #require(StockDaemon.v3)
            try await TestLab.with(hosts: 2, config: Self.config(true)) { lab in
                let host = lab.hosts[0]
                for host in lab.hosts { try host.shell(Self.docker) }
                for (number, host) in lab.hosts.enumerated() { try await stock.start(host, peers: number) }
                host.stop(SIGKILL)
                try await stock.start(host, peers: 1)
                let fresh = try await HostSnapshot.atRest(host)
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let tally = try await containers[0].pinging(containers[1]) {
                    host.stop(SIGTERM)
                    try host.start()
                    try await settle(host, nftables: true)
                    try lab.put(config: Self.config(false))
                    try await settle(host, nftables: false)
                    host.stop(SIGTERM)
                }
                #expect(tally.lost == 0, "\(tally)")
                // Stock empties the chain before it fills it, which costs packets where FORWARD drops.
                try await stock.start(host, peers: 1)
                let back = try await HostSnapshot.atRest(host)
                let isRule = { (line: String) in line.hasPrefix("iptables") || line.hasPrefix("nft") }
                #expect(back.lines.filter(isRule) == fresh.lines.filter(isRule))
            }
        }

        /// The one command that an uninstall, or a return to v0.11, needs.
        @Test(arguments: [false, true])
        func removeRulesLeavesOthers(nftables: Bool) async throws {
            try await TestLab.with(hosts: 1, config: Self.config(nftables)) { lab in
                let host = lab.hosts[0]
                try host.shell(Self.docker)
                try host.shell("iptables -t nat -A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN")
                try host.shell("iptables -A FORWARD -s 10.5.0.0/16 -j ACCEPT; nft add table inet operator")
                let rules = "iptables-save | grep -v '^#' | sed 's/ *\\[[0-9:]*\\]$//'; nft list tables"
                try await lab.startAll()
                try await settle(host, nftables: nftables)
                host.stop(SIGTERM)
                // What v0.11 puts when it is back.
                try host.shell("iptables -t nat -A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN")
                try host.shell("\(LabHost.binary) --remove-rules")
                let left = try host.shell(rules)
                #expect(!left.lowercased().contains("flannel"))
                #expect(left.contains("-A FORWARD -j DOCKER-USER") && left.contains("table inet operator"))
                #expect(left.contains("-A FORWARD -s 10.5.0.0/16 -j ACCEPT"))
                #expect(left.contains("-A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN"))
                #expect(try host.shell("\(LabHost.binary) --remove-rules").contains("no firewall rule"))
            }
        }
    }
}
