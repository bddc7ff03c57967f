import Foundation
import Testing

extension EndToEnd {
    /// The userspace plane is the daemon's own threads, and still a restart is hardly felt.
    @Suite struct UDPRestartTests {
        @Test(arguments: [SIGKILL, SIGTERM])
        func aStreamGoesOn(signal: Int32) async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let (before, lease) = (try host.kernelText(), try lab.lease(of: host))
                let stream = try PacedStream(from: containers[0], to: containers[1])
                try await stream.flows()
                let tally = try await containers[0].pinging(containers[1], interval: .milliseconds(1)) {
                    #expect(host.stop(signal) == (signal == SIGKILL ? 137 : 0))
                    try host.start()
                    try await stream.flows()
                    try await host.waitUntilReady()
                }
                report("restart after signal \(signal), pings each millisecond: \(tally)")
                try await stream.finish()
                #expect(try lab.lease(of: host) == lease)
                #expect(try host.kernelText() == before)
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }

        /// What the daemon noted of its peers carries packets while the registry is away.
        @Test func withoutARegistry() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                try await eventually("the peer is noted") {
                    try String(contentsOfFile: "\(host.directory)/weft-tunnel", encoding: .utf8).contains("\nhop ")
                }
                for member in lab.etcd { member.stop() }
                host.stop(SIGKILL)
                try host.start()
                try await containers[0].reach(containers[1])
                try await containers[1].reach(containers[0])
                for member in lab.etcd { try member.launch() }
                try await host.waitUntilReady()

                // Of another network nothing is taken.
                for member in lab.etcd { member.stop() }
                host.stop(SIGKILL)
                try host.start(["--etcd-prefix=/other"])
                try await host.waitForLog("registry")
                #expect(try host.shell("ss -Hunl sport = :8285").isEmpty)
            }
        }

        /// A peer that goes while the daemon is away is forgotten, whatever was noted of it.
        @Test func aNotedPeerThatWentIsForgotten() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let path = "\(host.directory)/weft-tunnel"
                func note() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
                let peer = try lab.lease(of: lab.hosts[1])
                try await eventually("the peer is noted") { try note().contains("hop \(peer.subnet) 172.30.0.12\n") }
                host.stop(SIGKILL)
                lab.hosts[1].stop(SIGKILL)
                try lab.client.delete(lab.key(peer.name))
                try host.start()
                try await host.waitUntilReady()
                try await eventually("the peer is forgotten") { try note().hasSuffix("end 0\n") }
            }
        }

        /// The config names another backend: the device goes, and comes back with the old one; also when the daemon did
        /// not see the change.
        @Test(arguments: [false, true])
        func anotherBackendAndBack(isStopped: Bool) async throws {
            try await TestLab.with(hosts: 2, config: TestLab.udp) { lab in
                try await lab.startAll()
                for host in lab.hosts { try await host.waitUntilReady() }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                for config in [TestLab.vxlan, TestLab.udp, TestLab.hostGateway, TestLab.udp] {
                    let isMissed = isStopped && config != TestLab.udp
                    if isMissed { for host in lab.hosts { host.stop(SIGTERM) } }
                    try lab.put(config: config)
                    if isMissed { for host in lab.hosts { try host.start() } }
                    try await eventually("the leases follow") {
                        try lab.leases().allSatisfy { lease in
                            lease.isUDP == (config == TestLab.udp) && (lease.mac != nil) == (config == TestLab.vxlan)
                        }
                    }
                    for host in lab.hosts {
                        try await lab.settle(host, "follows to \(config)")
                        if config != TestLab.udp {
                            try await eventually("the device and what was noted of it go") {
                                try !host.shell("ip -o link").contains("flannel0")
                                    && !FileManager.default.fileExists(atPath: "\(host.directory)/weft-tunnel")
                            }
                        }
                        try await host.waitUntilReady()
                    }
                    try await containers[0].reach(containers[1])
                }
            }
        }
    }
}
