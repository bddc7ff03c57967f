import Foundation
import IPNetwork
import Testing

extension EndToEnd {
    /// Many hosts at once, and hosts that are alike.
    @Suite struct ScaleTests {
        /// Of 30 stock daemons that start together 23 get a subnet.
        @Test func thirtyStartAtOnce() async throws {
            try await TestLab.with(hosts: 30) { lab in
                let start = ContinuousClock.now
                for host in lab.hosts { try host.start() }
                try await eventually("30 subnets are held", within: .seconds(120)) { try lab.leases().count == 30 }
                for host in lab.hosts {
                    try await eventually("\(host.namespace)", within: .seconds(120), equals: { try lab.expected(host) })
                    {
                        try host.kernelText()
                    }
                    #expect(try host.kernelText().count { $0.hasPrefix("route ") } == 29)
                }
                report("30 hosts joined, all routes there after \((ContinuousClock.now - start).milliseconds)")
                let leases = try lab.leases()
                #expect(Set(leases.map(\.subnet)).count == 30 && Set(leases.map(\.mac)).count == 30)
                for host in lab.hosts { #expect(host.logCount("ERROR") == 0, "\(host.log)") }
            }
        }

        /// What a daemon that serves 1,000 peers weighs is told, and of the Swift libraries full Foundation is not among
        /// those it loads.
        @Test func footprintWithThousandPeers() async throws {
            let config =
                #"{"Network":"10.0.0.0/8","SubnetMin":"10.200.0.0","SubnetMax":"10.250.0.0","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#
            try await TestLab.with(hosts: 1, config: config) { lab in
                let peers = try (0..<1_000).map { number in
                    ExpectedLease(
                        subnet: try #require(IPv4Prefix("10.\(1 + number / 250).\(number % 250).0/24")),
                        publicIP: "172.30.\(4 + number / 250).\(1 + number % 250)",
                        mac: "\(MACAddress(rawValue: 0xee00_0000_0000 + UInt64(number)))")
                }
                try lab.client.perform(peers.map { .put(key: lab.key($0.name), value: $0.value) })
                try await lab.startAll()
                let process = try #require(lab.hosts[0].process)
                // `ip netns exec` becomes the daemon, so the process is the daemon's own.
                let memory = try String(contentsOfFile: "/proc/\(process.pid)/smaps_rollup", encoding: .utf8)
                func mebibytes(_ field: String) -> Double {
                    let line = memory.split(separator: "\n").first { $0.hasPrefix("\(field):") }
                    return Double(line?.split(separator: " ").dropFirst().first ?? "") ?? .nan
                }
                let rounded = { (field: String) in (mebibytes(field) / 102.4).rounded() / 10 }
                report("1,000 peers: resident \(rounded("Rss")) MiB, anonymous \(rounded("Anonymous")) MiB")
                let maps = try String(contentsOfFile: "/proc/\(process.pid)/maps", encoding: .utf8)
                #expect(!maps.contains("libFoundation.so"))
            }
        }

        /// Two that want one of two subnets at the same moment never hold the same.
        @Test func twoStartedTogetherNeverShareASubnet() async throws {
            let rounds = ProcessInfo.processInfo.environment["WEFT_RACE_ROUNDS"].flatMap(Int.init) ?? 20
            let config =
                #"{"Network":"10.5.0.0/22","SubnetMin":"10.5.1.0","SubnetMax":"10.5.2.0","Backend":{"Type":"host-gw"}}"#
            try await TestLab.with(hosts: 2, config: config) { lab in
                var races = 0
                for round in 0..<rounds {
                    for host in lab.hosts { try host.start() }
                    for host in lab.hosts { try await host.waitForSubnetFile() }
                    let leases = try lab.leases()
                    #expect(Set(leases.map { "\($0.subnet)" }) == ["10.5.1.0/24", "10.5.2.0/24"], "round \(round)")
                    let files = Set(lab.hosts.map { $0.subnetFileValue("FLANNEL_SUBNET") })
                    #expect(files == ["10.5.1.1/24", "10.5.2.1/24"], "round \(round)")
                    races += lab.hosts.contains { $0.logCount("another host was faster") > 0 } ? 1 : 0
                    for host in lab.hosts {
                        host.stop(SIGKILL)
                        unlink(host.subnetFile)
                        unlink(host.logPath)
                    }
                    for lease in leases { try lab.client.delete(lab.key(lease.name)) }
                }
                report("\(races) of \(rounds) rounds had both try the same subnet")
            }
        }

        /// Hosts from one image: udev gave both devices the same MAC.
        @Test func clonesGetMACsOfTheirOwn() async throws {
            try await TestLab.with(hosts: 2) { lab in
                for host in lab.hosts {
                    try host.ip(
                        "link add flannel.1 address 02:42:42:42:42:42 type vxlan id 1 dev eth0 dstport 8472 nolearning")
                    try host.ip("link set flannel.1 up")
                }
                try await lab.startAll()
                let macs = Set(try lab.leases().map(\.mac))
                #expect(macs.count == 2 && !macs.contains("02:42:42:42:42:42"))
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
            }
        }
    }
}
