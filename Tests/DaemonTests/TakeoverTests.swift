import Foundation
import Testing

/// The path of a stock flanneld, v0.20.2 for example.
private let stockDaemon = ProcessInfo.processInfo.environment["FLANNELD"]

extension EndToEnd {
    /// From stock flanneld to weftd and back, host by host, without a packet lost.
    @Suite(.enabled(if: stockDaemon != nil, "needs a stock flanneld; name it in FLANNELD"))
    struct TakeoverTests {
        /// A stock daemon misses leases now and then that come while it starts; another start finds them.
        private func makeWhole(_ host: LabHost, _ stock: String) async throws {
            for _ in 0..<20 {
                let time = try? await eventually("routes to both others", within: .seconds(1)) {
                    try host.kernelText().count { $0.hasPrefix("route 10.5.") } == 2
                }
                if time != nil { return }
                host.stop(SIGKILL)
                try host.start(program: stock)
            }
            throw Failure("the stock daemon never has both routes")
        }

        @Test(arguments: [TestLab.vxlan, TestLab.hostGateway])
        func takesOverFromStockAndGivesBack(config: String) async throws {
            let stock = try #require(stockDaemon)
            try await TestLab.with(hosts: 3, config: config) { lab in
                let host = lab.hosts[0]
                for host in lab.hosts { try host.start(program: stock) }
                for host in lab.hosts { try await host.waitForSubnetFile() }
                for host in lab.hosts { try await makeWhole(host, stock) }
                let containers = try lab.hosts.map { try $0.addContainer() }
                for other in containers[1...] { try await containers[0].reach(other) }
                let (lease, file) = (try lab.lease(of: host), host.subnetFileText)

                var tally = try await containers[0].pinging(containers[1]) {
                    host.stop(SIGKILL)
                    try host.start()
                    try await host.waitUntilReady()
                    try await lab.settle(host, "after the takeover")
                }
                #expect(tally.lost == 0, "stock to weftd: \(tally)")
                #expect(try lab.lease(of: host) == lease)
                #expect(host.subnetFileText == file)
                for chain in ["-A FORWARD", "-A POSTROUTING"] {
                    let jumps = try host.shell("iptables-save").split(separator: "\n").filter {
                        $0.hasPrefix(chain) && $0.lowercased().contains("flannel")
                    }
                    #expect(jumps.count == 1, "\(jumps)")
                }

                for other in containers[1...] {
                    try await containers[0].reach(other)
                    try await other.reach(containers[0])
                }
                // Each learns of a host of the other kind.
                lab.hosts[2].stop(SIGKILL)
                try lab.hosts[2].start()
                try await lab.settle(lab.hosts[2], "after the takeover")
                for other in containers[1...] { try await containers[0].reach(other) }
                try await containers[1].reach(containers[2])

                tally = try await containers[0].pinging(containers[1]) {
                    host.stop(SIGTERM)
                    let process = try host.start(program: stock)
                    try await eventually("stock runs again") {
                        process.log.contains("Waiting for") || host.health("/healthz") != nil
                    }
                    try await containers[0].reach(containers[2])
                }
                #expect(tally.lost == 0, "back to stock: \(tally)")
                #expect(try lab.lease(of: host).subnet == lease.subnet)
                #expect(host.process?.exitStatus == nil)
            }
        }
    }
}
