import Foundation
import Netlink
import Testing

extension EndToEnd {
    /// The data plane must not depend on the daemon's being there.
    @Suite struct RestartTests {
        @Test(arguments: [TestLab.vxlan, TestLab.hostGateway])
        func killedAndRestartedLosesNothing(config: String) async throws {
            try await TestLab.with(hosts: 2, config: config) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let (before, lease, file) = (try host.kernelText(), try lab.lease(of: host), host.subnetFileText)
                let rules = try host.shell("iptables-save | grep -v '^#' | sed 's/\\[.*//'; nft -s list ruleset")
                let events = try KernelEvents(host)
                let tally = try await containers[0].pinging(containers[1]) {
                    #expect(host.stop(SIGKILL) == 137)
                    #expect(try host.kernelText() == before)
                    try host.start()
                    try await host.waitUntilReady()
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(try lab.lease(of: host) == lease)
                #expect(host.subnetFileText == file)
                #expect(try host.kernelText() == before)
                let changes = try await events.all(host)
                #expect(changes.isEmpty, "the kernel was touched: \(changes)")
                #expect(
                    try host.shell("iptables-save | grep -v '^#' | sed 's/\\[.*//'; nft -s list ruleset") == rules)
            }
        }

        @Test func endedBySIGTERMLeavesTheDataPlane() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                try await host.waitUntilReady()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let (before, lease) = (try host.kernelText(), try lab.lease(of: host))
                let tally = try await containers[0].pinging(containers[1]) {
                    #expect(host.stop(SIGTERM) == 0)
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(try host.kernelText() == before)
                #expect(try lab.lease(of: host) == lease)
                #expect(!host.subnetFileText.isEmpty)
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }
    }
}
