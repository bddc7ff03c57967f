import Foundation
import Testing

extension EndToEnd {
    /// One binary is swapped for another on a host that runs: nothing is lost, and nothing of the old one stays.
    @Suite(.enabled(if: StockDaemon.v3 != nil, "needs a stock flanneld; name it in FLANNELD"))
    struct UpgradeTests {
        private static let directRouting = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","DirectRouting":true}}"#

        /// stock → Weft → stock → Weft, with a ping and a TCP stream through the host all the while.
        @Test(arguments: [TestLab.vxlan, TestLab.hostGateway, directRouting])
        func losesNothing(config: String) async throws {
            let stock = try #require(StockDaemon.v3)
            try await TestLab.with(hosts: 2, config: config) { lab in
                try await Upgrade(lab: lab, stock: stock).losesNothing()
            }
        }

        /// The kernel after a change of daemon is the same as under a daemon that was there from the start.
        @Test(arguments: [TestLab.vxlan, TestLab.hostGateway, directRouting])
        func leavesNothing(config: String) async throws {
            let stock = try #require(StockDaemon.v3)
            try await TestLab.with(hosts: 2, config: config) { lab in
                try await Upgrade(lab: lab, stock: stock).leavesNothing()
            }
        }
    }
}

/// The steps of an upgrade on the first of two hosts; the second runs stock all the time.
struct Upgrade {
    let lab: TestLab
    let stock: StockDaemon
    /// For weftd alone.
    var flags: [String] = []

    private var host: LabHost { lab.hosts[0] }

    /// Both as an operator's cluster is found: stock everywhere.
    private func begin() async throws {
        for (number, host) in lab.hosts.enumerated() { try await stock.start(host, peers: number) }
        try await stock.start(host, peers: 1)
    }

    private func startWeft() async throws {
        try host.start(flags)
        try await host.waitUntilReady()
        try await eventually("weftd's own routes") {
            try host.kernelText().filter { $0.hasPrefix("route 10.5.") }.allSatisfy { $0.contains("proto 119") }
        }
    }

    func losesNothing() async throws {
        for (number, host) in lab.hosts.enumerated() { try await stock.start(host, peers: number) }
        host.stop(SIGKILL)
        try await stock.start(host, peers: 1)
        let containers = try lab.hosts.map { try $0.addContainer() }
        try await containers[0].reach(containers[1])
        let (lease, file) = (try lab.lease(of: host), host.subnetFileText)
        let stream = try PacedStream(from: containers[0], to: containers[1])
        for (name, signal) in [("SIGKILL", SIGKILL), ("SIGTERM", SIGTERM)] {
            for isWeft in [true, false] {
                let what = "to \(isWeft ? "weftd" : stock.version) after \(name)"
                let tally = try await containers[1].pinging(containers[0]) {
                    host.stop(signal)
                    if isWeft { try await startWeft() } else { try await stock.start(host, peers: 1) }
                    try await stream.flows()
                }
                #expect(tally.lost == 0, "\(what): \(tally)")
                #expect(tally.sent > 10, "\(what): \(tally)")
                #expect(try lab.lease(of: host) == lease, "\(what)")
                #expect(host.subnetFileText == file, "\(what)")
                report("\(what): \(tally.lost) of \(tally.sent) pings lost")
            }
        }
        let words = try await stream.finish()
        report("\(words[0]) and \(words[1]) words by TCP, all there and in order")
    }

    func leavesNothing() async throws {
        for (number, host) in lab.hosts.enumerated() { try await stock.start(host, peers: number) }
        host.stop(SIGKILL)
        try host.reset()
        try await stock.start(host, peers: 1)
        let stockFresh = try await HostSnapshot.atRest(host)

        host.stop(SIGTERM)
        try await startWeft()
        let weftAfterStock = try await HostSnapshot.atRest(host)

        host.stop(SIGTERM)
        try await stock.start(host, peers: 1)
        let stockAfterWeft = try await HostSnapshot.atRest(host)

        host.stop(SIGKILL)
        try host.reset()
        try await startWeft()
        let weftFresh = try await HostSnapshot.atRest(host)

        #expect(weftAfterStock.differences(from: weftFresh) == [], "stock → weftd")
        // Stock leaves a route through a gateway alone that is as it would make it, whoever made it.
        let kept = stockAfterWeft.lines.map {
            $0.contains(" dev eth0 ") ? $0.replacing(" proto 119", with: "") : $0
        }
        #expect(HostSnapshot(lines: kept).differences(from: stockFresh) == [], "weftd → stock")
    }
}
