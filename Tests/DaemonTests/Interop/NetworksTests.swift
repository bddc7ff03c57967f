import Foundation
import IPNetwork
import Lab
import LinuxSystem
import Testing

extension EndToEnd {
    /// Several networks on the same hosts, each with daemon, prefix and subnet file of its own.
    @Suite struct NetworksTests {
        private struct Network: Sendable {
            var name: String
            /// Network 10.N.0.0/16.
            var number: Int
            var backend: String
            /// What leads to the other host.
            var device: String

            static let all = [
                Network(name: "vxlan", number: 11, backend: #"{"Type":"vxlan"}"#, device: "flannel.1"),
                Network(name: "hostgw", number: 12, backend: #"{"Type":"host-gw"}"#, device: "eth0"),
                Network(name: "vxlan2", number: 13, backend: #"{"Type":"vxlan","VNI":2}"#, device: "flannel.2"),
            ]

            func config(nftables: Bool) -> String {
                #"{"EnableNFTables":\#(nftables),"Network":"10.\#(number).0.0/16","Backend":\#(backend)}"#
            }

            func put(_ lab: TestLab, nftables: Bool) throws {
                try lab.client.put("/\(name)/network/config", config(nftables: nftables))
            }

            func file(_ host: LabHost) -> String { "\(host.directory)/\(name).env" }

            func log(_ host: LabHost) -> String {
                (try? String(contentsOfFile: "\(host.directory)/\(name).log", encoding: .utf8)) ?? ""
            }

            func start(
                _ lab: TestLab, _ host: LabHost, program: String = LabHost.binary, file: String? = nil,
                _ flags: String...
            ) throws -> BackgroundProcess {
                try BackgroundProcess(
                    [
                        "ip", "netns", "exec", host.namespace, program, "--etcd-endpoints=\(lab.endpoints)",
                        "--iface=eth0", "--ip-masq", "--etcd-prefix=/\(name)/network",
                        "--subnet-file=\(file ?? self.file(host))",
                    ] + flags, log: "\(host.directory)/\(name).log")
            }

            /// The address that the subnet file gives to the engine's bridge.
            func gateway(_ host: LabHost) throws -> IPv4Address {
                let text = try String(contentsOfFile: file(host), encoding: .utf8)
                let match = try #require(text.firstMatch(of: /FLANNEL_SUBNET=([0-9.]+)\//))
                return try #require(IPv4Address(String(match.1)))
            }
        }

        /// Each rule of both tools, without counters.
        private func rules(_ host: LabHost) throws -> [String] {
            try host.shell("iptables-save | grep -E '^-A' || true; nft -s list ruleset | grep -v '^#' || true")
                .split(separator: "\n").map(String.init)
        }

        /// How many rules name a network: masqueraded and accepted in the one tool or the other.
        private func count(_ network: Network, _ host: LabHost, nftables: Bool) throws -> Int {
            let text = try host.shell(
                nftables
                    ? "nft list table ip flannel-ipv4 2>/dev/null || true"
                    : "iptables-save | grep -E '^-A FLANNEL-' || true")
            return text.split(separator: "\n").count { $0.contains("10.\(network.number).") }
        }

        private func settle(_ host: LabHost, _ networks: [Network], nftables: Bool) async throws {
            for network in networks {
                try await eventually("the rules of \(network.name)", equals: { ["6"] }) {
                    ["\(try count(network, host, nftables: nftables))"]
                }
            }
        }

        /// Nobody writes a rule though each daemon looks many times: a table of the test's that comes and goes wakes them
        /// all, and `nft monitor` tells of every rule that is written, with iptables-nft too.
        private func areAtPeace(_ host: LabHost, _ networks: [Network], rounds: Int = 5) async throws {
            let watch = try BackgroundProcess(
                ["ip", "netns", "exec", host.namespace, "nft", "monitor"], log: "\(host.directory)/monitor.log")
            defer { watch.stop(SIGKILL) }
            let name = "mark\(watch.pid)x"
            /// What was written between two marks, once the monitor runs.
            func written(_ round: Int) async throws -> [String] {
                var lines: [Substring] = []
                try await eventually("the monitor sees round \(round)") {
                    try host.shell("nft add table inet \(name)\(round); nft delete table inet \(name)\(round)")
                    lines = watch.log.split(separator: "\n")
                    return lines.contains { $0.hasSuffix("delete table inet \(name)\(round)") }
                }
                let start = lines.firstIndex { $0.hasSuffix("delete table inet \(name)\(round - 1)") } ?? lines.endIndex
                return lines[start...].filter { $0.contains(" rule ") || $0.contains(" chain ") }.map(String.init)
            }
            // Daemons that started together may have to write once more. Then one waking after the other finds all well.
            var round = 1
            var quiet = 0
            _ = try await written(0)
            try await eventually("nobody writes") {
                try await Task.sleep(for: .milliseconds(100))
                quiet = try await written(round).isEmpty ? quiet + 1 : 0
                round += 1
                return quiet == rounds
            }
            let before = try rules(host)
            for _ in 0..<rounds {
                try await Task.sleep(for: .milliseconds(100))
                let lines = try await written(round)
                #expect(lines.isEmpty, "\(lines)")
                round += 1
            }
            #expect(try rules(host) == before)
            for network in networks {
                let log = network.log(host)
                #expect(!log.contains("keeps changing") && !log.contains("ERROR"), "\(log)")
            }
        }

        @Test(arguments: [false, true])
        func threeNetworksInPeace(nftables: Bool) async throws {
            try await TestLab.with(hosts: 2, config: nil) { lab in
                var daemons: [String: BackgroundProcess] = [:]
                defer { for daemon in daemons.values { daemon.stop(SIGKILL) } }
                for network in Network.all {
                    try network.put(lab, nftables: nftables)
                    for host in lab.hosts { daemons[network.name + host.namespace] = try network.start(lab, host) }
                }
                for host in lab.hosts {
                    for network in Network.all {
                        try await eventually("\(network.file(host)) is written") {
                            FileManager.default.fileExists(atPath: network.file(host))
                        }
                        try host.ip("addr add \(network.gateway(host))/32 dev lo")
                    }
                }
                for (here, there) in [(0, 1), (1, 0)] {
                    for network in Network.all {
                        let target = try network.gateway(lab.hosts[there])
                        let path = EchoProbe.Path(source: lab.hosts[here].networkNamespace, destination: target)
                        try await eventually("\(network.name) is reached") {
                            try await EchoProbe.measure([path], count: 1, patience: .milliseconds(500))[0].received == 1
                        }
                        let route = try lab.hosts[here].ip("route get \(target)")
                        #expect(route.contains("dev \(network.device)"), "\(route)")
                    }
                }
                for host in lab.hosts { try await settle(host, Network.all, nftables: nftables) }
                let host = lab.hosts[0]
                try await areAtPeace(host, Network.all)
                let right = Set(try rules(host))

                // What belongs to all is emptied: each puts its own rules back.
                try host.shell(
                    nftables
                        ? "nft flush table ip flannel-ipv4"
                        : "iptables -t nat -F FLANNEL-POSTRTG; iptables -F FLANNEL-FWD; iptables -F FORWARD")
                try await settle(host, Network.all, nftables: nftables)
                #expect(try Set(rules(host)) == right)
                try await areAtPeace(host, Network.all)

                // One goes over to the other tool; the rules of two stay, and at last none is where it was.
                try Network.all[0].put(lab, nftables: !nftables)
                try await settle(host, [Network.all[0]], nftables: !nftables)
                try await eventually("it has left", equals: { ["0"] }) {
                    ["\(try count(Network.all[0], host, nftables: nftables))"]
                }
                try await settle(host, Array(Network.all[1...]), nftables: nftables)
                try await areAtPeace(host, Network.all)

                // One ends for good: its rules stay until they are removed, and those of the others for longer.
                daemons.removeValue(forKey: Network.all[0].name + host.namespace)?.stop(SIGTERM)
                try await settle(host, [Network.all[0]], nftables: !nftables)
                let text = try host.shell("\(LabHost.binary) --remove-rules")
                #expect(text.contains("those of 10.12.0.0/16, 10.13.0.0/16 stay"), "\(text)")
                #expect(try !rules(host).contains { $0.contains("10.11.") })
                try await settle(host, Array(Network.all[1...]), nftables: nftables)
                try await areAtPeace(host, Array(Network.all[1...]))
                for network in Network.all[1...] {
                    daemons.removeValue(forKey: network.name + host.namespace)?.stop(SIGTERM)
                }
                try host.shell("\(LabHost.binary) --remove-rules")
                #expect(try !rules(host).contains { $0.lowercased().contains("flannel") })
            }
        }

        /// A network that got another range while its daemon was away; the other's rules stay.
        @Test(arguments: [false, true])
        func networkChangesItsRange(nftables: Bool) async throws {
            try await TestLab.with(hosts: 1, config: nil) { lab in
                let host = lab.hosts[0]
                var networks = Array(Network.all[..<2])
                for network in networks { try network.put(lab, nftables: nftables) }
                let daemons = try networks.map { try $0.start(lab, host) }
                defer { for daemon in daemons { daemon.stop(SIGKILL) } }
                try await settle(host, networks, nftables: nftables)
                let old = networks[0]
                daemons[0].stop(SIGTERM)
                networks[0].number = 21
                try networks[0].put(lab, nftables: nftables)
                let next = try networks[0].start(lab, host)
                defer { next.stop(SIGKILL) }
                try await settle(host, networks, nftables: nftables)
                try await eventually("the old range's rules are gone", equals: { ["0"] }) {
                    ["\(try count(old, host, nftables: nftables))"]
                }
                try await areAtPeace(host, networks)
            }
        }

        /// Two networks that ask for the same thing of the host: one error that says which and what to do, no fight, and the
        /// second one serves as soon as the first has ended.
        @Test(arguments: ["device", "network", "file"])
        func sharedByMistake(what: String) async throws {
            try await TestLab.with(hosts: 1, config: nil) { lab in
                let host = lab.hosts[0]
                let first = Network.all[0]
                var second = Network.all[2]
                if what == "device" { second.backend = first.backend }
                if what == "network" { second.number = first.number }
                let words = [
                    "device": "interface flannel.1", "network": "Network 10.11.0.0/16", "file": first.file(host),
                ]
                for network in [first, second] { try network.put(lab, nftables: false) }
                let daemon = try first.start(lab, host)
                defer { daemon.stop(SIGKILL) }
                try await settle(host, [first], nftables: false)
                let (kernel, rules) = try (host.kernelText(), rules(host))
                let other = try second.start(lab, host, file: what == "file" ? first.file(host) : nil)
                defer { other.stop(SIGKILL) }
                let isTold = { () -> Int in
                    second.log(host).split(separator: "\n").count {
                        $0.contains("ERROR") && $0.contains(words[what] ?? "?")
                            && $0.contains("another weftd on this host")
                            && $0.contains("(process ")
                    }
                }
                try await eventually("it is told", equals: { ["1"] }) { ["\(isTold())"] }
                // The second one tries again each second; the file that it writes at a success is what must not come.
                try await eventually("it has tried again") {
                    other.exitStatus == nil && second.log(host).contains("ERROR")
                }
                #expect(try host.kernelText() == kernel)
                #expect(try self.rules(host) == rules)
                #expect(!first.log(host).contains("ERROR"), "\(first.log(host))")
                #expect(what == "file" || !FileManager.default.fileExists(atPath: second.file(host)))
                daemon.stop(SIGTERM)
                try await settle(host, [second], nftables: false)
                #expect(isTold() == 1)
            }
        }

        /// A stock daemon's network beside one of Weft's, whichever starts first: all rules of both, without a fight.
        @Test(
            .enabled(if: StockDaemon.v3 != nil, "needs a stock flanneld; name it in FLANNELD"),
            arguments: [false, true])
        func besideStock(stockFirst: Bool) async throws {
            let stock = try #require(StockDaemon.v3)
            try await TestLab.with(hosts: 1, config: nil) { lab in
                let host = lab.hosts[0]
                let (own, other) = (Network.all[0], Network.all[2])
                for network in [own, other] { try network.put(lab, nftables: false) }
                let start = { (network: Network) in
                    network.name == own.name
                        ? try network.start(lab, host)
                        : try network.start(lab, host, program: stock.path, "--iptables-resync=1")
                }
                let order = stockFirst ? [other, own] : [own, other]
                let first = try start(order[0])
                defer { first.stop(SIGKILL) }
                try await settle(host, [order[0]], nftables: false)
                let second = try start(order[1])
                defer { second.stop(SIGKILL) }
                try await settle(host, [own, other], nftables: false)
                try await areAtPeace(host, [own], rounds: 30)
                try await settle(host, [own, other], nftables: false)
            }
        }
    }
}
