import Foundation
import Testing

extension EndToEnd {
    /// A host on which stock flanneld has run is taken over: nothing is lost, and nothing of stock's stays. Needs no stock
    /// daemon, since what it leaves behind is recorded.
    @Suite struct RecordedStockTests {
        @Test(arguments: RecordedStock.all(["vxlan", "vxlan-directrouting", "host-gw"]))
        func isTakenOver(sample: RecordedStock) async throws {
            try await TestLab.with(hosts: 2, config: nil) { lab in
                let (host, peer) = (lab.hosts[0], lab.hosts[1])
                try sample.fill(lab)
                try sample.restore(host)
                try sample.subnetFiles[1].write(toFile: peer.subnetFile, atomically: true, encoding: .utf8)
                try peer.start()
                try await peer.waitUntilReady()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let leases = try lab.leases()
                let stream = try PacedStream(from: containers[0], to: containers[1])

                let tally = try await containers[1].pinging(containers[0]) {
                    try host.start()
                    try await host.waitUntilReady()
                    try await stream.flows()
                }
                #expect(tally.lost == 0, "\(tally)")
                try await stream.finish()
                // Subnet, address and VTEP MAC are as before; v0.11's value has the VNI added.
                #expect(try lab.leases() == leases)
                #expect(host.subnetFileText == sample.subnetFiles[0])
                if sample.version == "v0.20.2" {
                    for key in sample.keys {
                        let record = try lab.client.get(lab.key(key.name))
                        #expect(record.map { String(decoding: $0.value, as: UTF8.self) } == key.value)
                        #expect(record?.lease != 0)
                    }
                }
                try await isAsFresh(host, sample)
            }
        }

        /// Compares with the same host when nobody has been there before.
        private func isAsFresh(_ host: LabHost, _ sample: RecordedStock) async throws {
            let takenOver = try await HostSnapshot.atRest(host)
            host.stop(SIGKILL)
            try host.reset()
            try host.start()
            try await host.waitUntilReady()
            let fresh = try await HostSnapshot.atRest(host)
            #expect(takenOver.differences(from: fresh) == [])
        }

        /// A lease ended while no daemon ran: stock's direct route is still there, and looks like an operator's.
        @Test func directRouteWithoutALeaseIsNamedAndLeft() async throws {
            let sample = try #require(RecordedStock.all(["host-gw"]).last)
            try await TestLab.with(hosts: 1, config: nil) { lab in
                let host = lab.hosts[0]
                try sample.fill(lab)
                try sample.restore(host)
                try host.ip("route add 10.5.250.0/24 via 172.30.0.99 dev eth0")
                try host.start()
                try await host.waitForLog("NOTICE", "maybe left by flannel", "10.5.250.0/24 via 172.30.0.99")
                let left = "route 10.5.250.0/24 via 172.30.0.99 dev eth0 proto boot"
                #expect(try host.kernelText() == (lab.expected(host) + [left]).sorted())
                // Once somebody leases the subnet the route is his.
                try lab.put(ExpectedLease(subnet: try subnet("10.5.250.0/24"), publicIP: "172.30.0.98"))
                try await lab.settle(host, "with the new lease")
                #expect(host.logCount("maybe left by flannel") == 1)
            }
        }

        /// A stock device of another MTU, as an operator's script or an older daemon left it: stock keeps it.
        @Test func otherSettingsOfTheDeviceAreMended() async throws {
            let sample = try #require(RecordedStock.all(["vxlan"]).last)
            try await TestLab.with(hosts: 2, config: nil) { lab in
                let host = lab.hosts[0]
                try sample.fill(lab)
                try sample.restore(host)
                try host.shell(
                    """
                    ip link set flannel.1 mtu 1400
                    ip link set flannel.1 address 02:00:00:00:00:99
                    ip addr add 10.5.200.0/32 dev flannel.1
                    ip neigh add 10.5.201.0 lladdr 02:00:00:00:00:98 dev flannel.1 nud permanent
                    bridge fdb add 02:00:00:00:00:98 dev flannel.1 dst 172.30.0.98 self permanent
                    ip route add 10.5.201.0/24 via 10.5.201.0 dev flannel.1 onlink
                    """)
                try host.start()
                try await host.waitUntilReady()
                try await lab.settle(host, "after the takeover")
            }
        }
    }
}
