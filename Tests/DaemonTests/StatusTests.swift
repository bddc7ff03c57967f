import Foundation
import Testing

extension EndToEnd {
    /// What an operator sees of a host and its peers.
    @Suite struct StatusTests {
        @Test func showsTheHostAndEveryPeer() async throws {
            try await TestLab.with(hosts: 2, config: TestLab.vxlan) { lab in
                try await lab.startAll()
                let (host, peer) = (lab.hosts[0], lab.hosts[1])
                let (own, other) = (try lab.lease(of: host).subnet, try lab.lease(of: peer).subnet)
                let socket = "\(host.subnetFile).sock"
                // A lease of another backend is refused, and a key that is no lease is ignored.
                try lab.client.put(
                    lab.key("10.5.200.0-24"),
                    #"{"PublicIP":"172.30.0.77","BackendType":"host-gw"}"#)
                try lab.client.put(lab.key("nonsense"), "{}")
                try await eventually("both are told of") {
                    let text = try? Self.weft("status", "--socket", socket)
                    return text?.contains("10.5.200.0/24") == true && text?.contains("nonsense") == true
                }
                let text = try Self.weft("status", "--socket", socket)
                #expect(text.contains("on \(own): ready"))
                #expect(text.contains("flannel.1"))
                let line = text.split(separator: "\n").first { $0.contains("\(other)") }
                #expect(
                    line?.contains(peer.address) == true && line?.contains("dev flannel.1 onlink") == true, "\(text)")
                #expect(text.contains("the host uses backend host-gw"))

                let json = try JSONSerialization.jsonObject(
                    with: Data(Self.weft("status", "--json", "--socket", socket).utf8))
                let report = try #require(json as? [String: Any])
                #expect(report["schema"] as? Int == 1 && report["ready"] as? Bool == true)
                #expect((report["host"] as? [String: Any])?["subnets"] as? [String] == ["\(own)"])
                #expect((report["peers"] as? [[String: Any]])?.count == 2)
                let mode = try FileManager.default.attributesOfItem(atPath: socket)[.posixPermissions] as? Int
                #expect(mode == 0o600)

                // Without a daemon it says so; the file that a killed one left does not stop the next.
                host.stop(SIGKILL)
                #expect(throws: (any Error).self) { try Self.weft("status", "--socket", socket) }
                try host.start()
                try await eventually("it answers again") {
                    (try? Self.weft("status", "--socket", socket))?.contains("on \(own): ready") == true
                }
                host.stop(SIGTERM)
                #expect(!FileManager.default.fileExists(atPath: socket))
            }
        }

        /// The command that was built beside the daemon.
        private static func weft(_ words: String...) throws -> String {
            try run([LabHost.binary.replacingOccurrences(of: "/weftd", with: "/weft")] + words)
        }
    }
}
