import Foundation
import IPNetwork
import Testing

extension EndToEnd {
    /// Hosts with stock flanneld and hosts with weftd make one network, whoever comes first.
    @Suite(.enabled(if: !StockCluster.settings.isEmpty, "needs a stock flanneld; name it in FLANNELD or FLANNELD11"))
    struct MixedClusterTests {
        @Test(arguments: StockCluster.settings)
        func reachEachOther(setting: StockCluster.Setting) async throws {
            try await StockCluster.with(setting, hosts: 4) { cluster in
                let hosts = cluster.lab.hosts
                // Each kind comes to a network that has the other kind already.
                try await cluster.startStock(hosts[0], peers: 0)
                try await cluster.startWeft(hosts[1], peers: 1)
                try await cluster.startStock(hosts[2], peers: 2)
                try await cluster.startWeft(hosts[3], peers: 3)
                try await cluster.makeWhole([hosts[0], hosts[2]])
                let containers = try hosts.map { try $0.addContainer() }
                for source in containers {
                    for target in containers where source.namespace != target.namespace {
                        try await source.reach(target)
                    }
                }
                for (from, to) in [(0, 1), (1, 0), (1, 2), (3, 0)] {
                    let stream = try PacedStream(from: containers[from], to: containers[to])
                    try await stream.flows()
                    try await stream.finish()
                }
                if setting.isUDP {
                    for (from, to) in [(0, 1), (1, 0)] {
                        try await UDPTraffic.tcp(from: containers[from], to: containers[to])
                        try await UDPTraffic.datagrams(from: containers[from], to: containers[to])
                    }
                }
                // Of the same form, so that either reads the other's.
                let records = try cluster.records()
                #expect(records.count == 4)
                #expect(records.allSatisfy { $0.expires }, "\(records)")
                for host in [hosts[1], hosts[3]] {
                    #expect(host.logCount("ERROR") == 0, "\(host.log)")
                    #expect(host.logCount("lease ignored") == 0, "\(host.log)")
                    #expect(host.health("/readyz")?.status == 200)
                }
            }
        }

        /// What becomes of a host of one kind is seen by the other.
        @Test(arguments: StockCluster.settings.filter { !$0.isUDP })
        func followEachOther(setting: StockCluster.Setting) async throws {
            try await StockCluster.with(setting, hosts: 2) { cluster in
                let (stock, weft) = (cluster.lab.hosts[0], cluster.lab.hosts[1])
                try await cluster.startStockEverywhere()
                weft.stop(SIGKILL)
                try await cluster.startWeft(weft, peers: 1)
                let containers = try cluster.lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])

                // A lease that is written again as it is, which is how stock renews, changes nothing here.
                let events = try KernelEvents(weft)
                let record = try #require(try cluster.records().first { $0.value.contains(stock.address) })
                for _ in 0..<3 { try cluster.put("subnets/\(record.name)", record.value, seconds: 86_400) }

                // A third host comes; then weftd has seen the rewritten lease too.
                let third = try #require(ExpectedLease.stranger(like: try cluster.lease(of: stock)))
                try cluster.put("subnets/\(third.name)", third.value, seconds: 86_400)
                try await eventually("both learn of a third host") { try cluster.hasRoute(to: third) == [true, true] }
                let changes = try await events.all(weft)
                // Route, neighbour and forwarding entry of the third host, or its direct route.
                #expect(changes.count == (setting.config == TestLab.vxlan ? 3 : 1), "\(changes)")
                // And goes.
                try cluster.delete("subnets/\(third.name)")
                try await eventually("both forget the third host") {
                    try cluster.hasRoute(to: third) == [false, false]
                }

                // weftd's host gets another address: stock follows the lease.
                let old = try cluster.lease(of: weft)
                try weft.shell(
                    """
                    ip addr add 172.30.0.112/24 dev eth0
                    ip addr del 172.30.0.12/24 dev eth0
                    ip addr show dev eth0 | grep -q 172.30.0.112 || ip addr add 172.30.0.112/24 dev eth0
                    ip route replace default via 172.30.0.1
                    """)
                try await eventually("the lease has the new address") {
                    try cluster.leases().contains { $0.publicIP == "172.30.0.112" }
                }
                let new = try cluster.leases().first { $0.publicIP == "172.30.0.112" }
                #expect(new?.subnet == old.subnet && new?.mac == old.mac)
                try await containers[0].reach(containers[1])
                try await containers[1].reach(containers[0])
            }
        }
    }
}

extension StockCluster {
    /// Whether each host has a route to a lease's subnet.
    fileprivate func hasRoute(to lease: ExpectedLease) throws -> [Bool] {
        try lab.hosts.map { try $0.kernelText().contains { $0.hasPrefix("route \(lease.subnet) ") } }
    }
}

extension ExpectedLease {
    /// The lease of a host on the same link that nobody runs, with the backend of `other`.
    fileprivate static func stranger(like other: ExpectedLease) -> ExpectedLease? {
        IPv4Prefix("10.5.250.0/24").map {
            ExpectedLease(
                subnet: $0, publicIP: "172.30.0.250", mac: other.mac == nil ? nil : "ee:00:00:00:00:fa")
        }
    }
}
