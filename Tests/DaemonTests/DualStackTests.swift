import Foundation
import IPNetwork
import Testing

/// The path of a stock flanneld, v0.20.2 for example.
private let stockDaemon = ProcessInfo.processInfo.environment["FLANNELD"]

extension EndToEnd {
    /// IPv6 beside IPv4, and alone.
    @Suite struct DualStackTests {
        private static let backends = [DualStack.vxlan, DualStack.direct, DualStack.hostGateway]

        private func with(
            hosts: Int, _ config: String, _ body: (TestLab) async throws -> Void
        ) async throws {
            try await TestLab.with(hosts: hosts, config: config) { lab in
                for host in lab.hosts { try host.addIPv6() }
                try await body(lab)
            }
        }

        private func start(_ lab: TestLab, isDirect: Bool) async throws {
            for host in lab.hosts { try host.start() }
            for host in lab.hosts { try await host.waitUntilReady() }
            for host in lab.hosts { try await lab.settleIPv6(host, "after the start", isDirect: isDirect) }
        }

        @Test(arguments: backends, [true, false])
        func containersReachEachOther(backend: String, hasIPv4: Bool) async throws {
            let isDirect = backend != DualStack.vxlan
            try await with(hosts: 2, DualStack.config(backend, hasIPv4: hasIPv4)) { lab in
                try await start(lab, isDirect: isDirect)
                for host in lab.hosts {
                    #expect((host.subnetFileValue("FLANNEL_SUBNET") != nil) == hasIPv4)
                    let lease = try lab.dualLease(of: host)
                    #expect(host.subnetFileValue("FLANNEL_IPV6_SUBNET") == lease.gateway.map { "\($0)1/64" })
                    #expect(host.logCount("ERROR") == 0, "\(host.log)")
                }
                // Containers that believe in 1,500: the overlay says what fits.
                let containers = try lab.hosts.map { try DualContainer(on: $0, mtu: 1500) }
                try await containers[0].reach(containers[1])
                try await containers[1].reach(containers[0])
                for (address, overhead) in [(containers[1].ipv4, 50), (containers[1].ipv6, 70)] {
                    guard let address else { continue }
                    let most = isDirect ? 1500 : 1500 - overhead
                    #expect(
                        containers[0].ping(address, size: most).contains(" 0% packet loss"), "\(most) to \(address)")
                    if !isDirect {
                        let answer = containers[0].ping(address, size: most + 1)
                        #expect(
                            answer.contains("mtu=\(most)") || answer.contains("mtu = \(most)")
                                || answer.contains("mtu: \(most)"), "\(answer)")
                    }
                }
            }
        }

        @Test(.enabled(if: stockDaemon != nil, "needs a stock flanneld; name it in FLANNELD"), arguments: backends)
        func mixedWithStock(backend: String) async throws {
            let stock = try #require(stockDaemon)
            try await with(hosts: 3, DualStack.config(backend)) { lab in
                // Stock first, then Weft, then stock: each learns of a host of the other kind.
                for (host, program) in zip(lab.hosts, [stock, LabHost.binary, stock]) {
                    let flags = program == stock ? ["--public-ipv6=\(host.ipv6Address)"] : []
                    try host.start(flags, program: program)
                    try await host.waitForSubnetFile()
                    // flannel v0.20.2 misses a lease that is made while its watch starts.
                    if program == stock { try await Task.sleep(for: .seconds(1)) }
                }
                let weft = lab.hosts[1]
                try await weft.waitUntilReady()
                try await lab.settleIPv6(weft, isDirect: backend != DualStack.vxlan)
                let containers = try lab.hosts.map { try DualContainer(on: $0) }
                for other in [containers[0], containers[2]] {
                    try await containers[1].reach(other)
                    try await other.reach(containers[1])
                }
                // And taken over with the same subnets, without loss.
                let (host, lease, file) = (
                    lab.hosts[0], try lab.dualLease(of: lab.hosts[0]), lab.hosts[0].subnetFileText
                )
                let target = try #require(containers[1].ipv6)
                let tally = try await containers[0].pinging(target) {
                    host.stop(SIGKILL)
                    try host.start()
                    try await host.waitUntilReady()
                    try await lab.settleIPv6(host, "after the takeover", isDirect: backend != DualStack.vxlan)
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(try lab.dualLease(of: host) == lease)
                // Stock says one family's MTU.
                func subnets(_ text: String) -> [Substring] {
                    text.split(separator: "\n").filter { !$0.contains("MTU") }
                }
                #expect(subnets(host.subnetFileText) == subnets(file))
                try await containers[2].reach(containers[0])
                try await containers[0].reach(containers[2])
            }
        }

        /// The network config gets an IPv6 network while all run, and loses it again.
        @Test(arguments: [DualStack.vxlan, DualStack.hostGateway])
        func moveToDualStackAndBack(backend: String) async throws {
            let isDirect = backend != DualStack.vxlan
            let single = #"{"Network":"10.5.0.0/16","Backend":\#(backend)}"#
            try await with(hosts: 2, single) { lab in
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let subnets = lab.hosts.map { $0.subnetFileValue("FLANNEL_SUBNET") }
                let before = try lab.leases()
                let containers = try lab.hosts.map { try DualContainer(on: $0) }
                try await containers[0].reach(containers[1])
                let target = try #require(containers[1].ipv4)
                var tally = try await containers[0].pinging(target) {
                    try lab.put(config: DualStack.config(backend))
                    for host in lab.hosts {
                        try await eventually("an IPv6 subnet") { host.subnetFileValue("FLANNEL_IPV6_SUBNET") != nil }
                        try await lab.settleIPv6(host, "after the move", isDirect: isDirect)
                    }
                    try await Task.sleep(for: .seconds(4))
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(lab.hosts.map { $0.subnetFileValue("FLANNEL_SUBNET") } == subnets)
                #expect(try lab.dualLeases().count == 2 && lab.dualLeases().allSatisfy { $0.subnet != nil })
                tally = try await containers[0].pinging(target) {
                    try lab.put(config: single)
                    for host in lab.hosts {
                        try await eventually("no IPv6 subnet") { host.subnetFileValue("FLANNEL_IPV6_SUBNET") == nil }
                        try await eventually("no IPv6 overlay") { try host.ipv6Text().isEmpty }
                        try await lab.settle(host, "after the way back")
                    }
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(try Set(lab.leases()) == Set(before))
                for host in lab.hosts { #expect(host.logCount("ERROR") == 0, "\(host.log)") }
            }
        }

        @Test func hostWithoutIPv6SaysSo() async throws {
            try await TestLab.with(hosts: 1, config: DualStack.config(DualStack.vxlan)) { lab in
                let host = lab.hosts[0]
                try host.shell("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
                try host.start()
                try await host.waitForLog("no IPv6 address")
                #expect(host.health("/readyz")?.status == 503)
                try host.addIPv6()
                try await host.waitUntilReady()
                try await lab.settleIPv6(host)
            }
        }

        /// IPv6 goes on a host that runs: IPv4 works on.
        @Test func ipv4OutlivesIPv6() async throws {
            try await with(hosts: 2, DualStack.config(DualStack.vxlan)) { lab in
                try await start(lab, isDirect: false)
                let containers = try lab.hosts.map { try DualContainer(on: $0) }
                try await containers[0].reach(containers[1])
                let host = lab.hosts[0]
                let tally = try await containers[0].pinging(try #require(containers[1].ipv4)) {
                    try host.shell("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
                    try await host.waitForLog("no IPv6 address")
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(host.health("/readyz")?.status == 503)
                try host.addIPv6()
                try await host.waitUntilReady()
                try await lab.settleIPv6(host, "IPv6 is back")
                try await containers[0].reach(containers[1])
            }
        }

        /// Of 30 that start at the same moment no two have a subnet of either family in common.
        @Test func thirtyStartAtOnce() async throws {
            let narrow =
                #","SubnetMin":"10.5.1.0","SubnetMax":"10.5.30.0","IPv6SubnetMin":"fd00:10:5:1::","IPv6SubnetMax":"fd00:10:5:1e::""#
            try await with(hosts: 30, DualStack.config(DualStack.vxlan, subnets: narrow)) { lab in
                for host in lab.hosts { try host.start() }
                for host in lab.hosts {
                    try await eventually("\(host.namespace) is ready", within: .seconds(120)) {
                        host.health("/readyz")?.status == 200
                    }
                }
                let leases = try lab.dualLeases()
                #expect(leases.count == 30 && Set(leases.map(\.subnet)).count == 30)
                #expect(Set(leases.map { $0.name.split(separator: "&")[0] }).count == 30)
                for host in lab.hosts {
                    try await lab.settleIPv6(host)
                    #expect(host.logCount("ERROR") == 0, "\(host.log)")
                }
                report("\(lab.hosts.count { $0.logCount("another host was faster") > 0 }) of 30 had to try again")
            }
        }
    }
}
