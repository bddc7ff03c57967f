import Foundation
import Testing

extension EndToEnd {
    /// A host that comes up must be whole before it says so.
    @Suite struct StartTests {
        @Test(arguments: [TestLab.vxlan, TestLab.hostGateway])
        func threeHostsReachEachOther(config: String) async throws {
            try await TestLab.with(hosts: 3, config: config) { lab in
                try await lab.startAll()
                let mtu = config == TestLab.vxlan ? 1450 : 1500
                for host in lab.hosts {
                    let subnet = try lab.lease(of: host).subnet
                    let first = subnet.address.advanced(by: 1).map { "\($0)" } ?? ""
                    #expect(
                        host.subnetFileText == """
                            FLANNEL_NETWORK=10.5.0.0/16
                            FLANNEL_SUBNET=\(first)/24
                            FLANNEL_MTU=\(mtu)
                            FLANNEL_IPMASQ=true

                            """)
                    let attributes = try FileManager.default.attributesOfItem(atPath: host.subnetFile)
                    #expect(attributes[.posixPermissions] as? Int == 0o644)
                }
                let containers = try lab.hosts.map { try $0.addContainer() }
                for source in containers {
                    for target in containers where target.namespace != source.namespace {
                        try await source.reach(target)
                    }
                }
                let tally = try await containers[0].pinging(containers[2]) {}
                #expect(tally.lost == 0)
            }
        }

        /// A unit that is ordered after weftd starts on READY=1: all must be in place by then.
        @Test func readyIsSaidOnlyWhenAllIsThere() async throws {
            try await TestLab.with(hosts: 2, config: nil) { lab in
                let (host, peer) = (lab.hosts[0], lab.hosts[1])
                let socket = try NotifySocket("\(lab.directory)/notify")
                try host.start(environment: ["NOTIFY_SOCKET": socket.path])
                try peer.start()
                try await host.waitForLog("there is no network config")
                #expect(!socket.isReady)
                try await eventually("healthz answers") { host.health("/healthz")?.status == 200 }
                let waiting = try #require(host.health("/readyz"))
                #expect(waiting.status == 503)
                #expect(waiting.body.contains("not ready") && waiting.body.contains("starting"))
                try lab.put(config: TestLab.vxlan)
                try await eventually("READY=1 is sent") { socket.isReady }
                #expect(host.subnetFileValue("FLANNEL_SUBNET") != nil)
                let own = try lab.lease(of: host).vxlanHost()
                let present = try host.kernelText()
                #expect(own.allSatisfy(present.contains), "\(present)")
                #expect(try host.shell("iptables-save; nft list ruleset").contains("10.5.0.0/16"))
                try await lab.settle(host)
                #expect(host.health("/readyz")?.status == 200)
                #expect(host.health("/nothing")?.status == 404)
            }
        }
    }
}
