import Foundation
import IPNetwork
import Lab
import LinuxSystem
import Testing

extension EndToEnd {
    /// What flannel's own functional checks look at, made anew: backends, several networks on a host, addresses behind
    /// NAT, reservations.
    @Suite struct FunctionalTests {
        /// The address that a subnet file gives to the engine's bridge.
        private func gateway(_ file: String) throws -> IPv4Address {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let match = try #require(text.firstMatch(of: /FLANNEL_SUBNET=([0-9.]+)\//))
            return try #require(IPv4Address(String(match.1)))
        }

        private func pings(from host: LabHost, to address: IPv4Address) async throws -> Int {
            let path = EchoProbe.Path(source: host.networkNamespace, destination: address)
            return try await EchoProbe.measure(
                [path], count: 3, interval: .milliseconds(50), patience: .milliseconds(500))[0].received
        }

        /// Two networks on two hosts, each with daemon, prefix and subnet file of its own.
        @Test(arguments: [false, true])
        func twoNetworksOnAHost(nftables: Bool) async throws {
            let networks = [
                ("vxlan", #""Network":"10.11.0.0/16","Backend":{"Type":"vxlan"}"#),
                ("hostgw", #""Network":"10.12.0.0/16","Backend":{"Type":"host-gw"}"#),
                ("vxlan2", #""Network":"10.13.0.0/16","Backend":{"Type":"vxlan","VNI":2}"#),
            ]
            try await TestLab.with(hosts: 2, config: nil) { lab in
                var daemons: [BackgroundProcess] = []
                for (name, config) in networks {
                    try lab.client.put("/\(name)/network/config", #"{"EnableNFTables":\#(nftables),\#(config)}"#)
                    for host in lab.hosts {
                        daemons.append(
                            try BackgroundProcess(
                                [
                                    "ip", "netns", "exec", host.namespace, LabHost.binary,
                                    "--etcd-endpoints=\(lab.endpoints)", "--iface=eth0", "--ip-masq",
                                    "--etcd-prefix=/\(name)/network", "--subnet-file=\(host.directory)/\(name).env",
                                ], log: "\(host.directory)/\(name).log"))
                    }
                }
                for host in lab.hosts {
                    for (name, _) in networks {
                        let file = "\(host.directory)/\(name).env"
                        try await eventually("\(file) is written") { FileManager.default.fileExists(atPath: file) }
                        try host.ip("addr add \(gateway(file))/32 dev lo")
                    }
                }
                for (here, there) in [(0, 1), (1, 0)] {
                    for (name, _) in networks {
                        let target = try gateway("\(lab.hosts[there].directory)/\(name).env")
                        try await eventually("\(name) is reached") {
                            try await pings(from: lab.hosts[here], to: target) == 3
                        }
                        let device = ["vxlan": "flannel.1", "hostgw": "eth0", "vxlan2": "flannel.2"][name] ?? ""
                        let route = try lab.hosts[here].ip("route get \(target)")
                        #expect(route.contains("dev \(device)"), "\(route)")
                    }
                }
                await withKnownIssue("the daemons put each other's rules out of the chains that they share") {
                    for host in lab.hosts { try await rulesAreAtPeace(host, networks.map(\.0)) }
                }
                for daemon in daemons { daemon.stop(SIGTERM) }
            }
        }

        /// Every network's rules are there, and stay, and nobody fights over them.
        private func rulesAreAtPeace(_ host: LabHost, _ names: [String]) async throws {
            let listing = "iptables-save | grep -E '^-A' || true; nft -s list ruleset | grep -v '^#' || true"
            try await eventually("the rules of all three are there", within: .seconds(5)) {
                let rules = try host.shell(listing)
                return ["10.11.0.0/16", "10.12.0.0/16", "10.13.0.0/16"].allSatisfy(rules.contains)
            }
            let before = try host.shell(listing)
            for _ in 0..<20 {
                try await Task.sleep(for: .milliseconds(50))
                #expect(try host.shell(listing) == before)
            }
            for name in names {
                let log = try String(contentsOfFile: "\(host.directory)/\(name).log", encoding: .utf8)
                #expect(!log.contains("keeps changing"))
                #expect(!log.contains("ERROR"))
            }
        }

        /// A host behind NAT: others send to the public address, its own device sends from the one it has.
        @Test(arguments: [TestLab.vxlan, TestLab.hostGateway])
        func publicAddressIsNotTheInterfaces(config: String) async throws {
            try await TestLab.with(hosts: 2, config: config) { lab in
                let (host, peer) = (lab.hosts[0], lab.hosts[1])
                // Stands in for the translation: the address is on the same link, yet the daemon is not told to use it.
                let isTunnel = config == TestLab.vxlan
                let publicIP = isTunnel ? "203.0.113.7" : "172.30.0.77"
                if isTunnel { try peer.ip("route add \(publicIP)/32 via 172.30.0.11") }
                try host.ip("addr add \(publicIP)/32 dev eth0")
                try host.start(["--public-ip=\(publicIP)"])
                try peer.start()
                for host in lab.hosts { try await host.waitUntilReady() }
                let lease = try #require(try lab.leases().first { $0.publicIP == publicIP })
                let other = try lab.lease(of: peer)
                try await eventually(
                    "the peer sends to the public address",
                    equals: {
                        (isTunnel
                            ? other.vxlanHost() + lease.vxlanPeer
                                + ["route \(publicIP)/32 via 172.30.0.11 dev eth0 proto boot"] : lease.hostGatewayPeer)
                            .sorted()
                    }
                ) { try peer.kernelText() }
                if isTunnel {
                    let expected = (lease.vxlanHost(local: "172.30.0.11") + other.vxlanPeer).sorted()
                    try await eventually("the host's own device", equals: { expected }) { try host.kernelText() }
                }
                let containers = try lab.hosts.map { try $0.addContainer() }
                try await containers[0].reach(containers[1])
                try await containers[1].reach(containers[0])
                // A restart knows its lease by the public address.
                let file = host.subnetFileText
                host.stop(SIGKILL)
                try FileManager.default.removeItem(atPath: host.subnetFile)
                try host.start(["--public-ip=\(publicIP)"])
                try await host.waitUntilReady()
                #expect(host.subnetFileText == file)
                #expect(try lab.leases().count == 2)
            }
        }

        /// An operator makes a reservation of a running host's lease, by writing the key again without a TTL.
        @Test func leaseBecomesAReservation() async throws {
            try await TestLab.with(hosts: 2) { lab in
                let host = lab.hosts[0]
                try await lab.startAll()
                let lease = try lab.lease(of: host)
                let key = lab.key(lease.name)
                let old = try #require(try lab.client.get(key))
                try lab.client.put(key, old.value)
                let written = try #require(try lab.client.get(key))
                #expect(written.lease == 0)
                try lab.client.revoke(old.lease)
                // Something that the daemon has to act on, after which it has seen the reservation too.
                try lab.put(config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","MTU":1400}}"#)
                try await eventually("the config is followed") {
                    try host.kernelText().contains { $0.contains("mtu 1350") }
                }
                #expect(try lab.client.get(key)?.lease == 0, "the reservation was bound to a lease")
                host.stop(SIGKILL)
                try FileManager.default.removeItem(atPath: host.subnetFile)
                try host.start()
                try await host.waitUntilReady()
                #expect(try lab.lease(of: host).subnet == lease.subnet)
                #expect(try lab.client.get(key)?.lease == 0, "the reservation was bound to a lease")
            }
        }

        /// A reservation for one host is not given to another, even when there is nothing else.
        @Test func reservationsOfOthersAreLeftAlone() async throws {
            let config =
                #"{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.3.0","Backend":{"Type":"host-gw"}}"#
            try await TestLab.with(hosts: 2, config: config) { lab in
                let reserved = [("10.5.1.0-24", "172.30.0.12"), ("10.5.2.0-24", "172.30.0.99")]
                for (name, address) in reserved {
                    try lab.client.put(lab.key(name), #"{"PublicIP":"\#(address)"}"#)
                }
                for host in lab.hosts { try host.start() }
                for host in lab.hosts { try await host.waitUntilReady() }
                #expect(try lab.lease(of: lab.hosts[0]).name == "10.5.3.0-24")
                #expect(try lab.lease(of: lab.hosts[1]).name == "10.5.1.0-24")
                #expect(try lab.client.get(lab.key("10.5.1.0-24"))?.lease == 0)
                #expect(
                    try lab.client.get(lab.key("10.5.2.0-24")).map { String(decoding: $0.value, as: UTF8.self) }
                        == #"{"PublicIP":"172.30.0.99"}"#)
            }
        }
    }
}
