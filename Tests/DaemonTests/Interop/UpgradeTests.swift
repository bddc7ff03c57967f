import Foundation
import Testing

extension EndToEnd {
    /// One binary is swapped for another on a host that runs: nothing is lost, and nothing of the old one stays.
    @Suite(.enabled(if: !StockCluster.settings.isEmpty, "needs a stock flanneld; name it in FLANNELD or FLANNELD11"))
    struct UpgradeTests {
        /// stock → weftd → stock → weftd → stock, with a ping and a TCP stream through the host all the while.
        @Test(arguments: StockCluster.settings)
        func losesNothing(setting: StockCluster.Setting) async throws {
            try await StockCluster.with(setting, hosts: 2) { cluster in
                let host = cluster.lab.hosts[0]
                try await cluster.startStockEverywhere()
                let containers = try cluster.lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let (lease, file) = (try cluster.lease(of: host), host.subnetFileText)
                let stream = try PacedStream(from: containers[0], to: containers[1])
                for (name, signal) in [("SIGKILL", SIGKILL), ("SIGTERM", SIGTERM)] {
                    for isWeft in [true, false] {
                        let what = "to \(isWeft ? "weftd" : setting.stock.version) after \(name)"
                        let tally = try await containers[1].pinging(containers[0]) {
                            host.stop(signal)
                            if isWeft {
                                try await cluster.startWeft(host, peers: 1)
                            } else {
                                try await cluster.startStock(host, peers: 1)
                            }
                            try await stream.flows()
                        }
                        // A userspace plane is the daemon's own: what comes while none runs is lost.
                        if !setting.isUDP { #expect(tally.lost == 0, "\(what): \(tally)") }
                        #expect(tally.sent > 10, "\(what): \(tally)")
                        #expect(try cluster.lease(of: host) == lease, "\(what)")
                        #expect(host.subnetFileText == file, "\(what)")
                        report("\(what): \(tally.lost) of \(tally.sent) pings lost")
                    }
                }
                let words = try await stream.finish()
                report("\(words[0]) and \(words[1]) words by TCP, all there and in order")
            }
        }

        /// The kernel after a change of daemon is the same as under a daemon that was there from the start.
        @Test(arguments: StockCluster.settings)
        func leavesNothing(setting: StockCluster.Setting) async throws {
            try await StockCluster.with(setting, hosts: 2) { cluster in
                let host = cluster.lab.hosts[0]
                try await cluster.startStockEverywhere()
                host.stop(SIGKILL)
                try host.reset()
                try await cluster.startStock(host, peers: 1)
                let stockFresh = try await HostSnapshot.atRest(host)

                host.stop(SIGTERM)
                try await cluster.startWeft(host, peers: 1)
                let weftAfterStock = try await HostSnapshot.atRest(host)

                host.stop(SIGTERM)
                try await cluster.startStock(host, peers: 1)
                let stockAfterWeft = try await HostSnapshot.atRest(host)

                host.stop(SIGKILL)
                try host.reset()
                try await cluster.startWeft(host, peers: 1)
                let weftFresh = try await HostSnapshot.atRest(host)

                let afterStock = weftAfterStock.differences(from: weftFresh)
                #expect(afterStock.filter { !isJustified(afterStock: $0) } == [], "stock → weftd")
                // Stock leaves a route through a gateway alone that is as it would make it, whoever made it.
                let kept = stockAfterWeft.lines.map {
                    $0.contains(" dev eth0 ") ? $0.replacing(" proto 119", with: "") : $0
                }
                let afterWeft = HostSnapshot(lines: kept).differences(from: stockFresh)
                let isOld = setting.stock.api == "v2"
                let odd = afterWeft.filter { !isOld || !isJustified(beforeOld: $0) }
                #expect(odd.filter { !setting.isUDP || !isJustified(afterTunnel: $0) } == [], "weftd → stock")
            }
        }

        /// v0.11's two accept rules may stay: an operator may have put the same.
        private func isJustified(afterStock line: String) -> Bool {
            line.hasPrefix("+ iptables-nft -A FORWARD") && line.hasSuffix(" 10.5.0.0/16 -j ACCEPT")
        }

        /// Weft's TUN device stays for its next start, with a route that gives way to stock's; so stock's is flannel1.
        private func isJustified(afterTunnel line: String) -> Bool {
            line.contains("flannel0") || line.contains("flannel1") || line == "+ file weft-tunnel"
        }

        /// v0.11 knows no chains of its own, so that it leaves Weft's, and does not set `accept_ra`.
        private func isJustified(beforeOld line: String) -> Bool {
            line.hasPrefix("+ iptables-nft") && line.contains("FLANNEL-") || line.contains("flannel/1.accept_ra =")
        }
    }
}
