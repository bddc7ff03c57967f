import Foundation
import Testing

/// A stock flanneld to test beside.
struct StockDaemon: Sendable, CustomTestStringConvertible {
    let path: String
    let version: String
    /// The etcd API that it speaks: `v2` or `v3`.
    let api: String

    var testDescription: String { version }

    /// v0.20.2 or another that speaks etcd v3; nil unless FLANNELD names one.
    static let v3 = environment("FLANNELD").map { StockDaemon(path: $0, version: "v0.20.2", api: "v3") }
    /// v0.11, which speaks etcd v2; nil unless FLANNELD11 names one.
    static let v2 = environment("FLANNELD11").map { StockDaemon(path: $0, version: "v0.11.0", api: "v2") }

    private static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Starts it and waits until it has a route to each of `peers`.
    ///
    /// A stock daemon misses leases now and then that come while it starts; another start finds them.
    func start(_ host: LabHost, peers: Int, _ flags: [String] = []) async throws {
        for _ in 0..<20 {
            let before = host.log.utf8.count
            try host.start(flags, program: path)
            let time = try? await eventually("\(version) on \(host.namespace) is whole", within: .seconds(3)) {
                try isWhole(host, peers: peers, log: String(decoding: host.log.utf8.dropFirst(before), as: UTF8.self))
            }
            if time != nil { return }
            host.stop(SIGKILL)
        }
        throw Failure("\(version) on \(host.namespace) never has \(peers) routes")
    }

    private func isWhole(_ host: LabHost, peers: Int, log: String) throws -> Bool {
        guard host.subnetFileValue("FLANNEL_SUBNET") != nil else { return false }
        // Its rules come from a thread of their own, the last of each table last.
        let chains = api == "v2" ? ["POSTROUTING", "FORWARD"] : ["FLANNEL-POSTRTG", "FLANNEL-FWD"]
        let rules = try host.shell("iptables-save").split(separator: "\n")
        let isThere = zip(chains, ["MASQUERADE", "ACCEPT"]).allSatisfy { chain, target in
            rules.contains {
                $0.hasPrefix("-A \(chain) ") && $0.contains("-d 10.5.0.0/16 ") && $0.contains("-j \(target)")
            }
        }
        guard isThere else { return false }
        // The udp backend has one route for all peers, and tells of each in its log alone.
        if try host.shell("ip route show 10.5.0.0/16 proto boot").contains("dev flannel") {
            return log.split(separator: "\n").count { $0.contains("Subnet added: ") } >= peers
        }
        return try host.kernelText().count { $0.hasPrefix("route 10.5.") } == peers
    }
}
