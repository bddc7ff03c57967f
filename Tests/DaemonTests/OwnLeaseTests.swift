import Foundation
import IPNetwork
import Testing

extension EndToEnd {
    /// The host's own lease: lost, taken, expired, reserved, or none to be had.
    @Suite struct OwnLeaseTests {
        @Test func deletedLeaseIsClaimedAgain() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let lease = try lab.lease(of: host)
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let before = try host.kernelText()
                let events = try KernelEvents(host)
                let tally = try await containers[0].pinging(containers[1]) {
                    for round in 0..<3 {
                        let old = try #require(try lab.client.get(lab.key(lease.name)))
                        try lab.client.delete(lab.key(lease.name))
                        let time = try await eventually("the lease is back") {
                            guard let new = try lab.client.get(lab.key(lease.name)) else { return false }
                            return new.createRevision > old.createRevision && new.lease != 0
                        }
                        #expect(try lab.lease(of: host) == lease)
                        report("lease deleted (\(round)): claimed again after \(time.milliseconds)")
                    }
                }
                report("\(tally.lost) of \(tally.sent) pings lost")
                #expect(try await events.all(host).isEmpty, "the host's own data plane was touched")
                #expect(tally.lost == 0, "\(tally)")
                #expect(try host.kernelText() == before)
                for host in lab.hosts { try await lab.settle(host) }
            }
        }

        /// etcd's own lease ends while the daemon holds the key.
        @Test func expiredLeaseIsClaimedAgain() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let lease = try lab.lease(of: host)
                let old = try #require(try lab.client.get(lab.key(lease.name)))
                try lab.client.revoke(old.lease)
                try await eventually("the lease is back") {
                    guard let new = try lab.client.get(lab.key(lease.name)) else { return false }
                    return new.lease != old.lease && new.lease != 0
                }
                #expect(try lab.lease(of: host) == lease)
                try await lab.settle(host)
                #expect(host.logCount("lease is gone") == 1)
            }
        }

        @Test func subnetTakenByAnotherHostWhileRunning() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let (mine, file) = (try lab.lease(of: host), host.subnetFileText)
                let thief = ExpectedLease(subnet: mine.subnet, publicIP: "172.30.0.66", mac: "ee:00:00:00:00:66")
                try lab.put(thief)
                try await checkLoss(lab, host, mine, thief, file)
            }
        }

        @Test func subnetTakenByAnotherHostWhileStopped() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let (mine, file) = (try lab.lease(of: host), host.subnetFileText)
                host.stop(SIGKILL)
                let thief = ExpectedLease(subnet: mine.subnet, publicIP: "172.30.0.66", mac: "ee:00:00:00:00:66")
                try lab.put(thief)
                try host.start()
                try await eventually("another subnet is held") {
                    try lab.leases().contains { $0.publicIP == host.address && $0.subnet != mine.subnet }
                }
                try await lab.settle(host)
                try await eventually("the subnet file is written again") { host.subnetFileText != file }
                #expect(try lab.leases().contains(thief))
            }
        }

        private func checkLoss(
            _ lab: TestLab, _ host: LabHost, _ mine: ExpectedLease, _ thief: ExpectedLease, _ file: String
        ) async throws {
            try await host.waitForLog("ERROR", "leased by another host", "172.30.0.66")
            try await eventually("another subnet is held") {
                try lab.leases().contains { $0.publicIP == host.address && $0.subnet != mine.subnet }
            }
            #expect(try lab.leases().contains(thief), "the other's lease is left alone")
            try await lab.settle(host, "on its new subnet")
            try await eventually("the subnet file is written again") {
                host.subnetFileText != file && host.subnetFileValue("FLANNEL_SUBNET") != nil
            }
            try await host.waitForLog("restart the container engine")
            // Containers that still have the lost addresses must not speak as the other host's.
            try await eventually("the lost subnet is not forwarded") {
                try host.shell("iptables -S; nft list ruleset").split(separator: "\n").contains { line in
                    line.contains("\(mine.subnet)") && line.lowercased().contains("drop")
                }
            }
            #expect(host.health("/readyz")?.body.contains("subnet-lost") == true)
            try await lab.settle(lab.hosts[1], "follows both")
        }

        @Test func fullRangeWaitsForAFreeSubnet() async throws {
            let config =
                #"{"Network":"10.5.0.0/22","SubnetMin":"10.5.1.0","SubnetMax":"10.5.2.0","Backend":{"Type":"vxlan"}}"#
            try await TestLab.with(hosts: 1, config: config) { lab in
                let host = lab.hosts[0]
                let others = [
                    ExpectedLease(subnet: try subnet("10.5.1.0/24"), publicIP: "172.30.0.51", mac: "ee:00:00:00:00:51"),
                    ExpectedLease(subnet: try subnet("10.5.2.0/24"), publicIP: "172.30.0.52", mac: "ee:00:00:00:00:52"),
                ]
                for other in others { try lab.put(other) }
                try host.start()
                try await host.waitForLog("no subnet is free in 10.5.1.0 to 10.5.2.0")
                #expect(host.process?.exitStatus == nil)
                #expect(host.health("/readyz")?.status == 503)
                try lab.client.delete(lab.key(others[1].name))
                try await host.waitForSubnetFile()
                #expect(try lab.lease(of: host).subnet == others[1].subnet)
                try await lab.settle(host)
                try await host.waitUntilReady()
            }
        }

        /// A key without an etcd lease is a reservation: used, and left without one.
        @Test func reservationIsUsedAndStaysOne() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                let name = "10.5.42.0-24"
                try lab.client.put(lab.key(name), #"{"PublicIP":"172.30.0.11","BackendType":"vxlan"}"#)
                try await lab.startAll()
                let lease = try lab.lease(of: host)
                #expect(lease.name == name)
                let record = try #require(try lab.client.get(lab.key(name)))
                #expect(record.lease == 0, "the reservation was bound to a lease")
                host.stop(SIGTERM)
                try host.start()
                try await lab.settle(host, "after a restart")
                #expect(try lab.client.get(lab.key(name))?.lease == 0)
                #expect(try lab.leases().count == 2)
            }
        }

        /// Two hosts that claim the same PublicIP share no subnet by accident.
        @Test func samePublicIPIsRefusedLoudly() async throws {
            try await TestLab.with(hosts: 2) { lab in
                try lab.hosts[0].start()
                try await lab.hosts[0].waitForSubnetFile()
                let lease = try lab.lease(of: lab.hosts[0])
                var stranger = lease
                stranger.mac = "ee:00:00:00:00:99"
                try lab.put(stranger)
                try await lab.hosts[0].waitForLog("ERROR", "overwritten", "--public-ip")
                try await eventually("the lease says again what it must") { try lab.lease(of: lab.hosts[0]) == lease }
            }
        }
    }
}
