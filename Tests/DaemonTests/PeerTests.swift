import Foundation
import IPNetwork
import Netlink
import Testing

extension EndToEnd {
    /// Peers that come, go and move: exactly what changed is changed.
    @Suite struct PeerTests {
        /// The host alone, so that all peers are the test's.
        private func withHost(_ body: (TestLab, LabHost) async throws -> Void) async throws {
            try await TestLab.with(hosts: 1) { lab in
                try await lab.startAll()
                try await body(lab, lab.hosts[0])
                #expect(lab.hosts[0].logCount("ERROR") == 0, "\(lab.hosts[0].log)")
            }
        }

        /// 10.5.0.0/16 has 255 candidates; the peers stay clear of the host's own.
        private func peers(_ count: Int, besides own: ExpectedLease) -> [ExpectedLease] {
            let subnets = (1...255).compactMap { IPv4Prefix("10.5.\($0).0/24") }.filter { $0 != own.subnet }
            return subnets.prefix(count).enumerated().map { number, subnet in
                ExpectedLease(
                    subnet: subnet, publicIP: "172.30.1.\(number)",
                    mac: "ee:00:00:00:01:" + (number < 16 ? "0" : "") + String(number, radix: 16))
            }
        }

        @Test func moveTouchesOneForwardingEntryAndOneNeighbour() async throws {
            try await withHost { lab, host in
                let peers = peers(20, besides: try lab.lease(of: host))
                for peer in peers { try lab.put(peer) }
                try await lab.settle(host)
                var moved = peers[7]
                moved.publicIP = "172.30.1.200"
                moved.mac = "ee:00:00:00:01:f0"
                let events = try KernelEvents(host)
                try lab.put(moved)
                try await lab.settle(host, "follows the move")
                let changes = try await events.all(host).map(Self.word)
                #expect(
                    changes.sorted() == [
                        "entry + ee:00:00:00:01:f0", "entry - ee:00:00:00:01:07", "neighbour + \(moved.subnet.address)",
                    ])
            }
        }

        @Test func newPublicAddressTouchesOneForwardingEntry() async throws {
            try await withHost { lab, host in
                let peers = peers(20, besides: try lab.lease(of: host))
                for peer in peers { try lab.put(peer) }
                try await lab.settle(host)
                var moved = peers[7]
                moved.publicIP = "172.30.1.200"
                let events = try KernelEvents(host)
                try lab.put(moved)
                try await lab.settle(host, "follows the move")
                #expect(try await events.all(host).map(Self.word) == ["entry + ee:00:00:00:01:07"])
            }
        }

        @Test func unchangedLeaseTouchesNothing() async throws {
            try await withHost { lab, host in
                let peers = peers(3, besides: try lab.lease(of: host))
                for peer in peers { try lab.put(peer) }
                try await lab.settle(host)
                let events = try KernelEvents(host)
                for _ in 0..<5 { try lab.put(peers[0]) }
                let last = try #require(self.peers(4, besides: try lab.lease(of: host)).last)
                try lab.put(last)
                try await lab.settle(host)
                #expect(try await events.all(host).count == 3, "only the last one's route, neighbour and entry")
            }
        }

        @Test func twoHundredJoinWithinASecond() async throws {
            try await withHost { lab, host in
                let peers = peers(200, besides: try lab.lease(of: host))
                let steps = peers.map { EtcdClient.Step.put(key: lab.key($0.name), value: $0.value) }
                let start = ContinuousClock.now
                try lab.client.perform(steps)
                let time = ContinuousClock.now - start
                let rest = try await lab.settle(host, "200 joined")
                report("200 leases put in \(time.milliseconds), all in the kernel \(rest.milliseconds) later")
                #expect(try lab.leases().count == 201)
            }
        }

        /// Puts and deletes as fast as etcd takes them, in an order that only the last of each key survives.
        @Test func thousandPutsAndDeletes() async throws {
            try await withHost { lab, host in
                let own = try lab.lease(of: host)
                let peers = peers(100, besides: own)
                var steps: [EtcdClient.Step] = []
                for round in 0..<10 {
                    for (number, peer) in peers.enumerated() {
                        if (number + round) % 3 == 0 {
                            steps.append(.delete(key: lab.key(peer.name)))
                        } else {
                            var other = peer
                            if round % 2 == 1 { other.mac = peer.mac.map { $0.replacing(":01:", with: ":02:") } }
                            steps.append(.put(key: lab.key(peer.name), value: other.value))
                        }
                    }
                }
                try lab.client.perform(steps)
                try await lab.settle(host, "after 1,000 changes")
                #expect(try lab.leases().count == 67 || lab.leases().count == 68)
                // And all gone at once.
                try lab.client.perform(peers.map { .delete(key: lab.key($0.name)) })
                try await eventually("all peers are gone", equals: { own.vxlanHost().sorted() }) {
                    try host.kernelText()
                }
            }
        }

        private static func word(_ event: NetlinkEvent) -> String {
            switch event {
            case .neighbourChanged(let neighbour): "neighbour + \(neighbour.address)"
            case .neighbourRemoved(let neighbour): "neighbour - \(neighbour.address)"
            case .forwardingEntryChanged(let entry): "entry + \(entry.mac)"
            case .forwardingEntryRemoved(let entry): "entry - \(entry.mac)"
            default: "\(event)"
            }
        }
    }
}
