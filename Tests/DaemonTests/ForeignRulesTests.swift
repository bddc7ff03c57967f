import Foundation
import Testing

extension EndToEnd {
    /// Docker's and the operator's rules stay as they are, and traffic passes all the same.
    @Suite struct ForeignRulesTests {
        private static let docker = """
            iptables -P FORWARD DROP
            iptables -N DOCKER-USER
            iptables -A DOCKER-USER -j RETURN
            iptables -A FORWARD -j DOCKER-USER
            iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
            iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
            iptables -A FORWARD -i docker0 -o docker0 -j ACCEPT
            iptables -A FORWARD -s 192.0.2.0/24 -j DROP
            iptables -t nat -N DOCKER
            iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
            iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
            """
        private static let operators = """
            nft -f - <<END
            table inet operator {
                set blocked { type ipv4_addr; elements = { 192.0.2.7 } }
                chain input { type filter hook input priority 0; policy accept; ip saddr @blocked drop; }
                chain forward { type filter hook forward priority 10; policy accept; ip saddr @blocked drop; }
            }
            END
            """

        /// All rules but Weft's own.
        private func others(_ host: LabHost) throws -> String {
            let tables = try host.shell(
                """
                iptables-save | grep -v '^#' | sed 's/ *\\[[0-9:]*\\]$//' | grep -vi flannel
                nft -s list table inet operator
                """)
            return tables
        }

        @Test(arguments: [false, true])
        func pingsPassAndNoRuleOfTheirsChanges(nftables: Bool) async throws {
            let config = #"{"Network":"10.5.0.0/16","EnableNFTables":\#(nftables),"Backend":{"Type":"vxlan"}}"#
            try await TestLab.with(hosts: 2, config: config) { lab in
                for host in lab.hosts { try host.shell(Self.docker + "\n" + Self.operators) }
                let before = try lab.hosts.map { try self.others($0) }
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let tally = try await containers[1].pinging(containers[0]) {
                    #expect(try lab.hosts.map { try self.others($0) } == before)
                    // A flush of ours, then a restart: still nothing of theirs.
                    try lab.hosts[0].ip("link del flannel.1")
                    try await lab.settle(lab.hosts[0])
                }
                #expect(tally.received > 0)
                for host in lab.hosts {
                    host.stop(SIGKILL)
                    try host.start()
                    try await host.waitUntilReady()
                }
                try await containers[0].reach(containers[1])
                #expect(try lab.hosts.map { try self.others($0) } == before)
                #expect(try lab.hosts[0].shell("iptables -S FORWARD").contains("-P FORWARD DROP"))
            }
        }
    }
}
