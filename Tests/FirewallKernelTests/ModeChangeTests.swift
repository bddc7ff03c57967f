import Synchronization
import Testing

@testable import Firewall

extension InTheKernel {
    /// A host changes its mind about the tool under traffic.
    @Suite struct ModeChangeTests {
        /// Everything of flannel's or Weft's, by plane.
        private func traces(_ namespaces: Namespaces) async throws -> [FirewallPlane: String] {
            let text = { (script: String) in
                try await namespaces.run("host", script).split(separator: "\n")
                    .filter { $0.lowercased().contains("flannel") }.joined(separator: "\n")
            }
            return try await [
                .nftables: text("nft list tables"), .iptablesNft: text("iptables-nft-save; ip6tables-nft-save"),
                .iptablesLegacy: text("iptables-legacy-save; ip6tables-legacy-save"),
            ]
        }

        /// From each way to have rules to each other one, by the daemon that runs and by one that starts.
        @Test(arguments: [false, true])
        func nothingOfTheOldKindStays(isRestarted: Bool) async throws {
            try await Namespaces.with(["host"]) { namespaces in
                let rules = try ruleset(ipv6: true)
                for isLegacy in [false, true] {
                    var keeper = namespaces.keeper("host", .automatic, legacy: isLegacy)
                    let iptables = isLegacy ? FirewallPlane.iptablesLegacy : .iptablesNft
                    for preference in [
                        FirewallPreference.nftables, .iptables, .automatic, .nftables, .automatic, .iptables,
                    ] {
                        if isRestarted { keeper = namespaces.keeper("host", preference, legacy: isLegacy) }
                        let status = await keeper.update(rules, preference: preference)
                        #expect(status.condition == .ok)
                        #expect(status.plane == (preference == .nftables ? .nftables : iptables))
                        for (plane, text) in try await traces(namespaces) {
                            #expect(text.isEmpty == (plane != status.plane), "\(plane) holds:\n\(text)")
                        }
                    }
                }
            }
        }

        /// One flow goes on and new ones begin while the plane changes, with every plane dropping by policy.
        @Test(arguments: [false, true])
        func trafficPassesDuringChanges(isLegacy: Bool) async throws {
            try await Namespaces.with(["host", "container", "outside", "peer"]) { namespaces in
                try await namespaces.wire()
                try await namespaces.run(
                    "host",
                    """
                    for c in iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy; do $c -P FORWARD DROP; done
                    """)
                let keeper = namespaces.keeper("host", .iptables, legacy: isLegacy)
                #expect(try await keeper.update(ruleset(ipv6: true)).condition == .ok)
                try await namespaces.only(from: "192.0.2.1", "outside")
                try await namespaces.only(from: "2001:db8::1", "outside")
                try await namespaces.only(from: "10.5.34.2", "peer")
                try await namespaces.run("outside", "setsid busybox nc -l -p 9 -e cat >/dev/null 2>&1 </dev/null &")

                // Echoes at 100 Hz in one flow, a connection that lives throughout, and flows of one packet each.
                let flows = [
                    "ping -q -i 0.01 -c 400 -W 1 192.0.2.2", "ping -q -i 0.01 -c 400 -W 1 2001:db8::2",
                    "ping -q -i 0.01 -c 400 -W 1 10.5.7.2",
                    "for i in $(seq 200); do busybox ping -q -c 1 -W 1 192.0.2.2 >/dev/null || echo lost; done",
                    "(for i in $(seq 200); do echo line; sleep 0.02; done; sleep 1) | busybox nc 192.0.2.2 9 | sort | uniq -c",
                ]
                let ended = Ended()
                let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                    for (index, flow) in flows.enumerated() {
                        group.addTask {
                            defer { ended.endOne() }
                            return (index, try await namespaces.run("container", flow))
                        }
                    }
                    var changes = 0
                    while ended.count < flows.count {
                        for preference in [FirewallPreference.nftables, .iptables] {
                            let status = try await keeper.update(ruleset(ipv6: true), preference: preference)
                            #expect(status.condition == .ok)
                            changes += 1
                        }
                    }
                    #expect(changes >= 4)
                    var answers = Array(repeating: "", count: flows.count)
                    for try await (index, answer) in group { answers[index] = answer }
                    return answers
                }
                for answer in answers[..<3] { #expect(answer.contains(" 0% packet loss"), "\(answer)") }
                #expect(answers[3].isEmpty, "\(answers[3])")
                #expect(answers[4].split(separator: " ").map(String.init) == ["200", "line\n"], "\(answers[4])")
            }
        }

        /// The kernel sees no transaction while all is as it should be.
        @Test(arguments: Setup.all)
        func checksAtRestChangeNothing(_ setup: Setup) async throws {
            try await Namespaces.with(["host"]) { namespaces in
                try await namespaces.run("host", "iptables-\(setup.flavour) -P FORWARD DROP")
                let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                try await keeper.update(ruleset(ipv6: true))
                let file = try await Namespaces.shell("mktemp").filter { !$0.isNewline }
                // Added until it is seen: only then does the monitor listen.
                try await namespaces.run(
                    "host",
                    """
                    setsid timeout 60 nft monitor >\(file) 2>&1 </dev/null &
                    for i in $(seq 500); do
                        nft add table ip sentinel; nft delete table ip sentinel
                        if grep -q sentinel \(file); then break; fi
                        sleep 0.01
                    done
                    """)
                for _ in 0..<3 { await keeper.check() }
                let events = try await namespaces.run(
                    "host",
                    """
                    nft add table ip last
                    for i in $(seq 500); do grep -q last \(file) && break; sleep 0.01; done
                    grep -v -e sentinel -e last -e '^#' \(file) || true
                    rm \(file)
                    """)
                #expect(events.isEmpty, "\(events)")
                #expect(await keeper.status.repairs == 0)
            }
        }
    }
}

/// How many of some tasks have ended.
private final class Ended: Sendable {
    private let ended = Atomic(0)
    var count: Int { ended.load(ordering: .relaxed) }
    func endOne() { ended.add(1, ordering: .relaxed) }
}
