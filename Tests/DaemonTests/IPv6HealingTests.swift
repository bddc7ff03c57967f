import Foundation
import Testing

extension Mischief {
    fileprivate static let ipv6Overlay = [
        Mischief(name: "interface deleted", script: "ip link del flannel-v6.1"),
        Mischief(name: "interface set down", script: "ip link set flannel-v6.1 down"),
        Mischief(name: "MAC changed", script: "ip link set flannel-v6.1 address 02:11:22:33:44:55"),
        Mischief(name: "MTU changed", script: "ip link set flannel-v6.1 mtu 1400"),
        Mischief(name: "MTU below IPv6's least", script: "ip link set flannel-v6.1 mtu 1200"),
        Mischief(name: "address removed", script: "ip -6 addr flush dev flannel-v6.1 scope global"),
        Mischief(name: "all addresses removed", script: "ip -6 addr flush dev flannel-v6.1"),
        Mischief(name: "address added", script: "ip addr add fd99::1/64 dev flannel-v6.1"),
        Mischief(name: "routes flushed", script: "ip -6 route flush dev flannel-v6.1"),
        Mischief(name: "route deleted", script: "ip -6 route del PEER"),
        Mischief(name: "route replaced", script: "ip -6 route replace PEER via fd00:30::1 dev eth0"),
        Mischief(name: "route added on the interface", script: "ip -6 route add fd77::/64 dev flannel-v6.1"),
        Mischief(name: "neighbour deleted", script: "ip -6 neigh del GATEWAY dev flannel-v6.1"),
        Mischief(
            name: "neighbour replaced", script: "ip -6 neigh replace GATEWAY lladdr 02:00:00:00:00:09 dev flannel-v6.1"
        ),
        Mischief(
            name: "FDB flushed",
            script:
                "for m in $(bridge fdb show dev flannel-v6.1 | cut -d' ' -f1); do bridge fdb del $m dev flannel-v6.1; done"
        ),
        Mischief(
            name: "IPv6 turned off on the interface", script: "sysctl -qw net.ipv6.conf.flannel-v6/1.disable_ipv6=1"),
        uplinkFlap,
    ]

    fileprivate static let ipv6Direct = [
        Mischief(name: "routes flushed", script: "ip -6 route flush proto 119"),
        Mischief(name: "route deleted", script: "ip -6 route del PEER"),
        Mischief(name: "route replaced", script: "ip -6 route replace PEER via fd00:30::1 dev eth0"),
        Mischief(
            name: "address renewed", script: "ip addr del UPLINK/64 dev eth0; ip addr add UPLINK/64 dev eth0 nodad"),
        uplinkFlap,
    ]

    /// The kernel drops a link's IPv6 addresses and routes when it goes down; whoever made the address makes it again.
    private static let uplinkFlap = Mischief(
        name: "external interface down and up",
        script: "ip link set eth0 down; ip link set eth0 up; ip addr add UPLINK/64 dev eth0 nodad")
}

extension EndToEnd {
    @Suite struct IPv6HealingTests {
        @Test(arguments: [DualStack.vxlan, DualStack.hostGateway])
        func everyBrokenPartHeals(backend: String) async throws {
            let isDirect = backend != DualStack.vxlan
            try await TestLab.with(hosts: 3, config: DualStack.config(backend)) { lab in
                for host in lab.hosts { try host.addIPv6() }
                for host in lab.hosts { try host.start() }
                for host in lab.hosts { try await host.waitUntilReady() }
                for host in lab.hosts { try await lab.settleIPv6(host, isDirect: isDirect) }
                let host = lab.hosts[0]
                let peer = try lab.dualLease(of: lab.hosts[1])
                let containers = try lab.hosts.map { try DualContainer(on: $0) }
                try await containers[0].reach(containers[1])
                for mischief in isDirect ? Mischief.ipv6Direct : Mischief.ipv6Overlay {
                    let script = mischief.script.replacing("PEER", with: peer.subnet ?? "")
                        .replacing("GATEWAY", with: peer.gateway ?? "")
                        .replacing("UPLINK", with: host.ipv6Address)
                    try host.shell(script)
                    let time = try await lab.settleIPv6(host, mischief.name, isDirect: isDirect)
                    report("\(mischief.name): right after \(time.milliseconds)")
                    // An uplink that was down has lost the default route; that is not the daemon's.
                    try host.ip("route replace default via 172.30.0.1")
                    try await containers[0].reach(containers[1])
                    for other in lab.hosts { try await lab.settleIPv6(other, isDirect: isDirect) }
                }
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }
    }
}
