import Foundation
import IPNetwork
import Lab
import LinuxSystem
import Testing

extension EndToEnd {
    /// What flannel's own functional checks look at, made anew: backends, addresses behind NAT,
    /// reservations; several networks on a host are in `NetworksTests`.
    @Suite struct FunctionalTests {
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
