import Foundation
import IPNetwork
import Testing

extension EndToEnd {
    /// What is wrong in the registry or in the kernel harms nothing beside it.
    @Suite struct BadInputTests {
        /// Values that no lease may have, and words of the reason that the log must give. PEER is the good peer's
        /// PublicIP, OWN the host's.
        private static let badValues: [(value: String, reason: String)] = [
            ("", "not JSON"),
            ("null", "an object"),
            ("[]", "an object"),
            (#"{"PublicIP":"172.30.0.9""#, "not JSON"),
            (#"{"PublicIP":"172.30.0.9"}}"#, "not JSON"),
            (#"{"PublicIP":5}"#, "an IPv4 address"),
            (#"{"PublicIP":"172.30.0"}"#, "an IPv4 address"),
            (#"{"PublicIP":"fd00::9"}"#, "an IPv4 address"),
            (#"{"PublicIP":"172.30.0.9","PublicIPv6":"x"}"#, "an IPv6 address"),
            (#"{"PublicIP":"172.30.0.9","BackendType":1}"#, "a string"),
            ("{}", "PublicIP is missing"),
            (#"{"PublicIP":"0.0.0.0"}"#, "PublicIP is missing"),
            (#"{"PublicIP":"127.0.0.1"}"#, "no address that another host can have"),
            (#"{"PublicIP":"224.0.0.9"}"#, "no address that another host can have"),
            (#"{"PublicIP":"10.5.9.1"}"#, "inside the overlay"),
            (#"{"PublicIP":"PEER"}"#, "older lease"),
            (#"{"PublicIP":"172.30.0.9","BackendType":"vxlan"}"#, "BackendData is missing"),
            (vxlan(#""VNI":1"#), "VtepMAC"),
            (vxlan(#""VtepMAC":5"#), "VtepMAC"),
            (vxlan(#""VtepMAC":"01:00:5e:00:00:01""#), "unicast"),
            (vxlan(#""VtepMAC":"00:00:00:00:00:00""#), "unicast"),
            (vxlan(#""VNI":-1,"VtepMAC":"ee:00:00:00:00:09""#), "VNI"),
            (vxlan(#""VNI":7,"VtepMAC":"ee:00:00:00:00:09""#), "VNI"),
            (vxlan(#""VNI":1,"VtepMAC":"PEERMAC""#), "in use by another host"),
            (#"{"PublicIP":"172.30.0.9","BackendType":"host-gw"}"#, "backend host-gw"),
        ]

        private static func vxlan(_ data: String) -> String {
            #"{"PublicIP":"172.30.0.9","BackendType":"vxlan","BackendData":{\#(data)}}"#
        }

        /// Keys that no subnet of this network can have.
        private static let badKeys = [
            "10.6.9.0-24", "10.4.0.0-14", "0.0.0.0-0", "10.5.0.0-16", "OWN-25", "PEER-25", "10.5.9.1-24",
            "10.5.9.0--24",
            "10.5.9.0-33", "10.5.034.0-24", "nonsense", "10.5.9.0-24&", "fd00:0:0:9::-64",
        ]

        @Test func malformedLeasesHarmNothing() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let (own, peer) = (try lab.lease(of: host), try lab.lease(of: lab.hosts[1]))
                let before = try host.kernelText()
                let taken = [own.subnet, peer.subnet]
                let free = (1...250).compactMap { IPv4Prefix("10.5.\($0).0/24") }.filter { !taken.contains($0) }
                var bad: [(name: String, value: [UInt8], reason: String)] = []
                for (number, (subnet, entry)) in zip(free, Self.badValues).enumerated() {
                    // Each with a PublicIP of its own, so that none is refused for another's sake.
                    let value = entry.value.replacing("PEERMAC", with: peer.mac ?? "")
                        .replacing("PEER", with: peer.publicIP).replacing("172.30.0.9\"", with: "172.30.2.\(number)\"")
                    bad.append(("\(subnet.address)-24", Array(value.utf8), entry.reason))
                }
                for name in Self.badKeys {
                    let name = name.replacing("OWN", with: "\(own.subnet.address)")
                        .replacing("PEER", with: "\(peer.subnet.address)")
                    bad.append((name, Array(Self.vxlan(#""VtepMAC":"ee:00:00:00:00:09""#).utf8), "reason="))
                }
                bad.append(("10.5.252.0-24", [0x22, 0xc3, 0x28, 0x22], "UTF-8"))
                let huge = #"{"PublicIP":"172.30.0.9","x":""# + String(repeating: "x", count: 1 << 20) + #""}"#
                bad.append(("10.5.253.0-24", Array(huge.utf8), "65536"))
                bad.append(("10.5.254.0-24", [UInt8](repeating: 0x5b, count: 60_000), "nested"))
                let events = try KernelEvents(host)
                let tally = try await containers[0].pinging(containers[1]) {
                    for entry in bad { try lab.client.put(lab.key(entry.name), entry.value) }
                    let good = ExpectedLease(
                        subnet: try subnet("10.5.251.0/24"), publicIP: "172.30.0.51", mac: "ee:00:00:00:00:51")
                    try lab.put(good)
                    let expected = (before + good.vxlanPeer).sorted()
                    try await eventually("a good lease after them is taken", equals: { expected }) {
                        try host.kernelText()
                    }
                }
                #expect(tally.lost == 0, "\(tally)")
                let changes = try await events.all(host)
                #expect(changes.count == 3, "not the good one's route, neighbour and entry alone: \(changes)")
                let warnings = host.log.split(separator: "\n").filter { $0.contains("WARNING") }
                for entry in bad {
                    let about = warnings.filter { $0.contains("=\(entry.name) ") || $0.contains("=\"\(entry.name)\" ") }
                    #expect(about.count == 1, "\(entry.name): \(about)")
                    #expect(about.first?.contains(entry.reason) == true, "\(entry.name): \(about)")
                }
                #expect(host.health("/readyz")?.status == 200)
                #expect(host.health("/readyz")?.body.contains("lease-ignored") == true)
                for entry in bad { try lab.client.delete(lab.key(entry.name)) }
                try await eventually("nothing is ignored any more") {
                    host.health("/readyz")?.body.contains("lease-ignored") == false
                }
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }

        @Test func badConfigsAreRefusedAndCorrectedLive() async throws {
            try await TestLab.with(hosts: 1, config: #"{"Network":"10.5.0.0/33"}"#) { lab in
                let host = lab.hosts[0]
                try host.start()
                try await host.waitForLog("Network", "10.5.0.0/33")
                #expect(host.health("/readyz")?.status == 503)
                try lab.put(config: "{ not json")
                try await host.waitForLog("not JSON")
                try lab.put(config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"carrier-pigeon"}}"#)
                try await host.waitForLog("carrier-pigeon")
                try lab.put(config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":-5}}"#)
                try await host.waitForLog("VNI", "-5")
                #expect(try lab.leases().isEmpty)
                #expect(host.process?.exitStatus == nil)
                try lab.put(config: TestLab.vxlan)
                try await host.waitUntilReady()
                try await lab.settle(host)
                // And a bad one later changes nothing.
                let before = try host.kernelText()
                try lab.put(config: #"{"Network":"10.5.0.0/16","SubnetLen":99}"#)
                try await host.waitForLog("SubnetLen", "99")
                let peer = ExpectedLease(
                    subnet: try subnet("10.5.251.0/24"), publicIP: "172.30.0.51", mac: "ee:00:00:00:00:51")
                try lab.put(peer)
                let expected = (before + peer.vxlanPeer).sorted()
                try await eventually("leases are followed all the same", equals: { expected }) { try host.kernelText() }
            }
        }

        /// A route of somebody else's stays, is reported, and gives way to ours when it goes.
        @Test func alienRouteIsLeftAloneAndReported() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                try await host.waitUntilReady()
                let own = try lab.lease(of: host)
                let peer = ExpectedLease(
                    subnet: try subnet("10.5.251.0/24"), publicIP: "172.30.0.51", mac: "ee:00:00:00:00:51")
                try host.ip("route add 10.5.251.0/24 via 172.30.0.1 proto static")
                try lab.put(peer)
                let alien = "route 10.5.251.0/24 via 172.30.0.1 dev eth0 proto static"
                let conflict = (own.vxlanHost() + peer.vxlanPeer.filter { !$0.hasPrefix("route") } + [alien]).sorted()
                try await eventually("the alien route stays", equals: { conflict }) { try host.kernelText() }
                try await host.waitForLog("WARNING", "somebody else's route", "10.5.251.0/24")
                try await eventually("it is reported") {
                    host.health("/readyz")?.body.contains("route-conflict") == true
                }
                let answer = host.health("/readyz")
                #expect(answer?.status == 200, "\(answer?.body ?? "")")
                try host.ip("route del 10.5.251.0/24 proto static")
                let time = try await lab.settle(host, "after the alien route went")
                report("alien route gone: ours is there after \(time.milliseconds)")
                try await eventually("the condition is over") {
                    host.health("/readyz")?.body.contains("route-conflict") == false
                }
                #expect(host.logCount("somebody else's route") == 1)
            }
        }

        @Test func routesOfOthersAreNeverTouched() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try host.shell(
                    """
                    ip route add 198.51.100.0/24 via 172.30.0.1 proto static
                    ip route add 198.51.101.0/24 via 172.30.0.1
                    ip route add 10.5.0.0/16 via 172.30.0.1 proto static metric 900
                    ip route add blackhole 10.5.77.0/24 proto static metric 900
                    ip route add 10.5.78.0/24 via 172.30.0.1 table 100
                    ip route add 10.5.79.0/24 via 172.30.0.1 proto 119 table 100
                    ip rule add from 192.0.2.0/24 table 100 priority 1000
                    ip neigh add 172.30.0.200 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
                    """)
                let listing =
                    "ip route show table 100; ip route show proto static; ip route show proto boot; ip rule; "
                    + "ip neigh show nud permanent dev eth0"
                let before = try host.shell(listing)
                for host in lab.hosts { try host.start() }
                for host in lab.hosts { try await host.waitUntilReady() }
                try host.ip("link del flannel.1")
                try await eventually("the overlay is back") {
                    try host.kernelText().contains { $0.contains("dev flannel.1 onlink proto 119") }
                }
                host.stop(SIGKILL)
                try host.start()
                try await host.waitUntilReady()
                #expect(try host.shell(listing) == before)
            }
        }

        /// A device of another kind has the name, or another device has the VNI.
        @Test(arguments: ["bridge", "vxlan id 9 dev eth0 dstport 4789", "vxlan id 1 dev eth0 dstport 8472 learning"])
        func alienDeviceWithOurNameIsReplaced(kind: String) async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try host.ip("link add flannel.1 type \(kind)")
                try host.ip("addr add 192.0.2.1/24 dev flannel.1")
                try host.ip("link set flannel.1 up")
                try await lab.startAll()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
            }
        }

        @Test func alienDeviceWithOurVNIIsReported() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try host.ip("link add other type vxlan id 1 dev eth0 dstport 8472")
                try host.ip("link set other up")
                try host.start()
                try await host.waitForLog("ERROR", "the kernel refused changes", "flannel.1")
                try await eventually("it is reported") {
                    host.health("/readyz")?.body.contains("kernel-refuses") == true
                }
                #expect(host.health("/readyz")?.status == 503)
                #expect(try host.ip("link show other").contains("UP"))
                try host.ip("link del other")
                try await lab.settle(host, "after the other device went")
                try await host.waitUntilReady()
            }
        }
    }
}
