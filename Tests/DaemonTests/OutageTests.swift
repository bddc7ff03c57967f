import Foundation
import IPNetwork
import Testing

extension EndToEnd {
    /// Whatever happens to etcd, what was there keeps working, and what was missed is made up for.
    @Suite struct OutageTests {
        /// Seconds without etcd; WEFT_ETCD_OUTAGE for longer ones.
        static let outage = ProcessInfo.processInfo.environment["WEFT_ETCD_OUTAGE"].flatMap(Int.init) ?? 8

        @Test func etcdAwayAndBack() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let before = try host.kernelText()
                let tally = try await containers[0].pinging(containers[1]) {
                    lab.etcd[0].stop()
                    try await Task.sleep(for: .seconds(Self.outage))
                    #expect(try host.kernelText() == before)
                    #expect(host.health("/readyz")?.status == 200)
                    try await eventually("the condition is told") {
                        host.health("/readyz")?.body.contains("registry-unavailable") == true
                    }
                    try await lab.etcd[0].start()
                    try lab.put(Self.newcomer)
                    let time = try await lab.settle(host, "after the outage")
                    report("etcd away for \(Self.outage) s: a new lease applied \(time.milliseconds) after its return")
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(host.logCount("registry unavailable") <= 4, "\(host.log)")
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
                try await eventually("the condition is over") {
                    host.health("/readyz")?.body.contains("registry-unavailable") == false
                }
            }
        }

        /// What came and went while the daemon could not see it, with the history of it gone.
        @Test func compactedWhileAway() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let leaving = ExpectedLease(
                    subnet: try subnet("10.5.251.0/24"), publicIP: "172.30.0.51", mac: "ee:00:00:00:00:51")
                try lab.put(leaving)
                try await lab.settle(host)
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let tally = try await containers[0].pinging(containers[1]) {
                    // The hosts are cut off from etcd alone, so that it can be written to meanwhile.
                    for host in lab.hosts { try host.shell(Self.cut) }
                    try lab.client.delete(lab.key(leaving.name))
                    var passing = Self.newcomer
                    passing.publicIP = "172.30.0.77"
                    try lab.put(passing)
                    try lab.client.delete(lab.key(passing.name))
                    try lab.put(Self.newcomer)
                    for number in 0..<50 { try lab.client.put("/elsewhere", "\(number)") }
                    lab.etcd[0].stop()
                    try await lab.etcd[0].start()
                    try lab.client.compact()
                    for host in lab.hosts { try host.shell("nft delete table ip cut") }
                    for host in lab.hosts { try await lab.settle(host, "after the compaction") }
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }

        @Test func leaderOfThreeKilled() async throws {
            try await TestLab.with(hosts: 2, members: 3) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                let tally = try await containers[0].pinging(containers[1]) {
                    let leader = try #require(
                        try lab.etcd.first { member in
                            let status = try member.client.status()
                            return status.leader == status.member
                        })
                    leader.stop()
                    let left = try #require(lab.etcd.first { $0.name != leader.name })
                    try await eventually("the others have a leader") { left.client.answers }
                    try left.client.put(lab.key(Self.newcomer.name), Self.newcomer.value)
                    let expected = try left.client.list(prefix: lab.key("")).count
                    #expect(expected == 3)
                    let time = try await eventually("the new lease is applied") {
                        Set(try host.kernelText()).isSuperset(of: Self.newcomer.vxlanPeer)
                    }
                    report("leader killed: a new lease applied after \(time.milliseconds)")
                }
                #expect(tally.lost == 0, "\(tally)")
                #expect(host.logCount("ERROR") == 0, "\(host.log)")
            }
        }

        /// Shell commands that keep a host from etcd, without any reset that would tell it so.
        private static let cut = """
            nft -f - <<END
            table ip cut {
                chain out { type filter hook output priority -300; tcp dport 2379 drop; }
                chain in { type filter hook input priority -300; tcp sport 2379 drop; }
            }
            END
            """

        static let newcomer = ExpectedLease(
            subnet: IPv4Prefix("10.5.250.0/24") ?? .all, publicIP: "172.30.0.50", mac: "ee:00:00:00:00:50")
    }
}

func subnet(_ text: String) throws -> IPv4Prefix {
    guard let prefix = IPv4Prefix(text) else { throw Failure("\(text) is no prefix") }
    return prefix
}
