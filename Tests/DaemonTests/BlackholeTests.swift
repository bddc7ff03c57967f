import Glibc
import Testing

extension EndToEnd {
    /// `--ip-blackhole-route`: packets to a container that is gone end here, and those to living ones arrive.
    @Suite struct BlackholeTests {
        private func routes(_ host: LabHost, _ block: String) throws -> [String] {
            try host.ip("route show exact \(block)").split(separator: "\n").map { line in
                line.split(separator: " ").joined(separator: " ")
            }
        }

        @Test func dropsWhatNoBridgeTakesAndNothingElse() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                for host in lab.hosts { try host.start(["--ip-blackhole-route"]) }
                for host in lab.hosts { try await host.waitUntilReady() }
                let block = "\(try lab.lease(of: host).subnet)"
                let blackhole = "blackhole \(block) proto 119 metric 4294967294"
                #expect(try routes(host, block) == [blackhole])

                // flannel's own, from before, would win over the bridge that comes now.
                try host.ip("route add blackhole \(block)")
                try await eventually("flannel's is replaced") { try routes(host, block) == [blackhole] }
                let near = try host.addContainer()
                let far = try lab.hosts[1].addContainer()
                try await near.reach(far)
                try await far.reach(near)
                #expect(try routes(host, block).count == 2)

                try host.ip("route del \(blackhole)")
                try await eventually("it is put back") { try routes(host, block).contains(blackhole) }
                try await far.reach(near)

                // It stays with the data plane, and goes when nobody wants it.
                host.stop(SIGTERM)
                #expect(try routes(host, block).contains(blackhole))
                try host.start()
                try await eventually("it is removed") { try !routes(host, block).contains(blackhole) }
                try await far.reach(near)
            }
        }
    }
}
