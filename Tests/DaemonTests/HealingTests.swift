import Foundation
import IPNetwork
import Netlink
import Testing

/// Something that happens to a host's kernel state behind the daemon's back.
struct Mischief: Sendable, CustomTestStringConvertible {
    var name: String
    /// A shell script in the host's namespace; `PEER` is a peer's subnet, `GATEWAY` its gateway.
    var script: String

    var testDescription: String { name }

    static let overlay = [
        Mischief(name: "interface deleted", script: "ip link del flannel.1"),
        Mischief(name: "interface set down", script: "ip link set flannel.1 down"),
        Mischief(name: "MAC changed", script: "ip link set flannel.1 address 02:11:22:33:44:55"),
        Mischief(name: "MTU changed", script: "ip link set flannel.1 mtu 1400"),
        Mischief(name: "learning turned on", script: "ip link set flannel.1 type vxlan learning"),
        Mischief(name: "address removed", script: "ip addr flush dev flannel.1"),
        Mischief(name: "address added", script: "ip addr add 10.99.0.1/24 dev flannel.1"),
        Mischief(name: "routes flushed", script: "ip route flush dev flannel.1"),
        Mischief(name: "route deleted", script: "ip route del PEER"),
        Mischief(name: "route replaced", script: "ip route replace PEER via 172.30.0.1"),
        Mischief(
            name: "route replaced in our name", script: "ip route replace PEER via 172.30.0.1 dev eth0 proto 119"),
        Mischief(name: "route added on the interface", script: "ip route add 10.77.0.0/24 dev flannel.1 proto static"),
        Mischief(name: "neighbour deleted", script: "ip neigh del GATEWAY dev flannel.1"),
        Mischief(
            name: "neighbour replaced", script: "ip neigh replace GATEWAY lladdr 02:00:00:00:00:09 dev flannel.1"),
        Mischief(
            name: "FDB flushed",
            script:
                "for m in $(bridge fdb show dev flannel.1 | cut -d' ' -f1); do bridge fdb del $m dev flannel.1; done"
        ),
        Mischief(
            name: "FDB entry replaced",
            script: "m=$(bridge fdb show dev flannel.1 | head -1 | cut -d' ' -f1); "
                + "bridge fdb replace $m dev flannel.1 dst 172.30.0.99 self"),
        Mischief(name: "external interface down and up", script: "ip link set eth0 down; ip link set eth0 up"),
        Mischief(
            name: "interface made anew by another",
            script: "ip link del flannel.1; ip link add flannel.1 type bridge; ip link set flannel.1 up"),
        Mischief(
            name: "interface made anew with another VNI",
            script: "ip link del flannel.1; ip link add flannel.1 type vxlan id 7 dev eth0 dstport 8472"),
    ]

    static let firewall = [
        Mischief(name: "nat flushed", script: "iptables -t nat -F"),
        Mischief(name: "filter flushed", script: "iptables -F"),
        Mischief(name: "nftables ruleset flushed", script: "nft flush ruleset"),
    ]
}

extension EndToEnd {
    /// What others do to the kernel's state is put right at once (stock flannel heals none of the first six).
    @Suite struct HealingTests {
        @Test func everyBrokenPartOfTheOverlayHeals() async throws {
            try await TestLab.with(hosts: 3) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let peer = try lab.lease(of: lab.hosts[1])
                let containers = try lab.hosts.map { try $0.addContainer() }
                for mischief in Mischief.overlay {
                    try await containers[0].reach(containers[1])
                    let script = mischief.script.replacing("PEER", with: "\(peer.subnet)")
                        .replacing("GATEWAY", with: "\(peer.subnet.address)")
                    var time = Duration.zero
                    let tally = try await containers[0].pinging(containers[1]) {
                        try host.shell(script)
                        time = try await lab.settle(host, mischief.name)
                        try await containers[0].reach(containers[1])
                        // An uplink that was down has lost the default route; that is not the daemon's.
                        try host.ip("route replace default via 172.30.0.1")
                    }
                    report(
                        "\(mischief.name): right after \(time.milliseconds), \(tally.lost) of \(tally.sent) pings lost")
                    for other in lab.hosts[1...] { #expect(try other.kernelText() == lab.expected(other)) }
                }
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }

        @Test(arguments: [false, true])
        func everyFlushedRuleComesBack(nftables: Bool) async throws {
            let config =
                #"{"Network":"10.5.0.0/16","EnableNFTables":\#(nftables),"Backend":{"Type":"vxlan"}}"#
            try await TestLab.with(hosts: 2, config: config) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let listing = "iptables-save | grep '^-A' || true; nft -s list ruleset | grep -v '^#' || true"
                let rules = try host.shell(listing)
                #expect(rules.contains(nftables ? "flannel-ipv4" : "FLANNEL-FWD"))
                for mischief in Mischief.firewall {
                    var time = Duration.zero
                    let tally = try await containers[0].pinging(containers[1]) {
                        try host.shell(mischief.script)
                        time = try await eventually("the rules are back after \(mischief.name)") {
                            try host.shell(listing) == rules
                        }
                    }
                    #expect(tally.lost == 0, "\(mischief.name): \(tally)")
                    report(
                        "\(mischief.name): right after \(time.milliseconds), \(tally.lost) of \(tally.sent) pings lost")
                }
            }
        }

        /// A host that gets another address must tell the others, and its device must send from the new one.
        @Test func newAddressOfTheExternalInterface() async throws {
            try await TestLab.with(hosts: 3) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let before = try lab.lease(of: host)
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                var moved = before
                moved.publicIP = "172.30.0.111"
                let peers = try lab.leases().filter { $0 != before }
                var time = Duration.zero
                let tally = try await containers[1].pinging(containers[0]) {
                    try host.shell(
                        "ip addr add 172.30.0.111/24 dev eth0; ip addr del 172.30.0.11/24 dev eth0; "
                            + "ip addr add 172.30.0.111/24 dev eth0 2>/dev/null || true; "
                            + "ip route replace default via 172.30.0.1")
                    let expected = (moved.vxlanHost() + peers.flatMap(\.vxlanPeer)).sorted()
                    time = try await eventually("the host follows", equals: { expected }) { try host.kernelText() }
                    try await eventually("the lease is written again") {
                        try lab.leases().contains(moved)
                    }
                    for other in lab.hosts[1...] { try await lab.settle(other, "follows the move") }
                    try await containers[1].reach(containers[0])
                }
                report("new address: right after \(time.milliseconds), \(tally.lost) of \(tally.sent) pings lost")
                #expect(Set(try lab.leases()) == Set(peers + [moved]))
            }
        }
    }
}
