import Foundation
import Testing

extension EndToEnd {
    /// Which interface and address a host uses, read from a real kernel.
    @Suite struct InterfaceTests {
        /// The line on the interface that `weftd --check` prints, and the rest of what it says.
        private func check(_ host: LabHost, _ flags: String = "") throws -> (interface: String, text: String) {
            let text = try host.shell(
                "\(LabHost.binary) --check --etcd-endpoints=http://172.30.0.1:2379 \(flags) 2>&1 || true")
            let line = text.split(separator: "\n").first { $0.dropFirst(5).hasPrefix("interface") } ?? ""
            return (line.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " "), text)
        }

        @Test func everyWayToChoose() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try host.shell(
                    """
                    sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
                    ip -batch - <<END
                    link add eth1 type veth peer name far1
                    link set far1 up
                    link set eth1 mtu 1400 up
                    addr add 192.0.2.11/24 dev eth1
                    addr add 2001:db8:1::11/64 dev eth1 nodad
                    addr add 172.30.0.99/32 dev eth0
                    addr add 172.30.0.12/24 dev eth0
                    addr add 2001:db8::11/64 dev eth0 nodad
                    addr add 2001:db8::99/128 dev eth0 nodad
                    addr add 2001:db8::bad/64 dev eth0 nodad preferred_lft 0
                    route add 203.0.113.0/24 via 192.0.2.1
                    END
                    """)
                let eth0 = "eth0 172.30.0.11, 2001:db8::11 mtu 1500"
                let eth1 = "eth1 192.0.2.11, 2001:db8:1::11 mtu 1400"
                for (flags, expected) in [
                    ("", "ok interface \(eth0), since it has the default route"),
                    ("--iface-can-reach=203.0.113.9", "ok interface \(eth1), since --iface-can-reach=203.0.113.9"),
                    ("--iface-can-reach=2001:db8:1::5", "ok interface \(eth1), since --iface-can-reach=2001:db8:1::5"),
                    (
                        "--iface-can-reach=172.30.0.99",
                        "ok interface eth0 172.30.0.99, 2001:db8::11 mtu 1500, since --iface-can-reach=172.30.0.99"
                    ),
                    (
                        "--iface=nosuch --iface=2001:db8:1::11", "ok interface \(eth1), since --iface=2001:db8:1::11"
                    ),
                    (
                        "--iface=nosuch --iface-regex='^192[.]0[.]2[.]\\d+$' --iface-can-reach=172.30.0.1",
                        "ok interface \(eth1), since --iface-regex=^192[.]0[.]2[.]\\d+$"
                    ),
                    ("--public-ip=192.0.2.11", "ok interface \(eth1), since it has --public-ip=192.0.2.11"),
                    ("--public-ip=198.51.100.7", "ok interface \(eth0), since it has the default route"),
                ] {
                    #expect(try check(host, flags).interface == expected)
                }
                #expect(try check(host, "--public-ip=198.51.100.7").text.contains("NAT must lead it to eth0"))
                #expect(try check(host, "--vmodule=x=1").text.contains("--vmodule has no effect"))
                try host.ip("addr flush dev eth1")
                #expect(
                    try check(host, "--iface=eth1 --iface=eth0").interface == "ok interface \(eth0), since --iface=eth0"
                )
                let bare = try check(host, "--iface=eth1")
                #expect(bare.interface == "FAIL interface interface eth1 has no address that other hosts could reach")

                // An IPv6 overlay goes by the default route of IPv6.
                try host.shell(
                    """
                    ip addr add 2001:db8:1::11/64 dev eth1 nodad
                    ip -6 route add default via 2001:db8:1::1
                    """)
                #expect(try check(host).interface.hasPrefix("ok interface eth0 "))
                try lab.put(
                    config:
                        #"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10:5::/48","Backend":{"Type":"vxlan"}}"#
                )
                #expect(
                    try check(host).interface
                        == "ok interface eth1 2001:db8:1::11 mtu 1400, since it has the default route"
                )
            }
        }

        /// The interface that `--iface` names is made, and gets its address, after the daemon's start.
        @Test func aNamedInterfaceThatComesLaterIsUsed() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try host.start(interface: "late0")
                try await host.waitForLog("waiting for an external interface", "late0")
                try host.shell(
                    """
                    ip link add late0 type veth peer name far0
                    ip link set far0 up
                    """)
                try host.shell(
                    """
                    ip addr add 192.0.2.11/24 dev late0
                    ip link set late0 up
                    """)
                try await host.waitUntilReady()
                #expect(try lab.leases().map(\.publicIP) == ["192.0.2.11"])
                #expect(host.logCount("waiting for an external interface") == 1)
            }
        }

        /// An address that is no more for new connections hands over to the next one, with the subnet.
        @Test func aDeprecatedAddressHandsOver() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try host.start()
                try await host.waitUntilReady()
                let lease = try lab.lease(of: host)
                try host.ip("addr change \(host.address)/24 dev eth0 preferred_lft 0")
                // There is no other: it stays.
                try host.ip("addr add 172.30.1.11/24 dev eth0")
                try await eventually("the lease names the other address") {
                    try lab.leases().map(\.publicIP) == ["172.30.1.11"]
                }
                let moved = try #require(try lab.leases().first)
                #expect(moved.subnet == lease.subnet && moved.mac == lease.mac)
                try await eventually("the device sends from it") {
                    try host.kernelText().contains { $0.contains("local 172.30.1.11 ") }
                }
                try await host.waitUntilReady()
                // The former is good again, and that is no reason to move.
                try host.ip("addr change \(host.address)/24 dev eth0 preferred_lft forever")
                try host.ip("addr add 172.30.2.11/24 dev eth0")
                try host.ip("addr del 172.30.2.11/24 dev eth0")
                try await host.waitUntilReady()
                #expect(try lab.leases() == [moved])
            }
        }

        /// As Go, which flannel listens with: all of IPv4 is all of IPv6 too.
        @Test func healthIsServedOverBothFamilies() async throws {
            try await TestLab.with(hosts: 1) { lab in
                let host = lab.hosts[0]
                try host.shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=0")
                try host.start()
                try await host.waitUntilReady()
                #expect(try host.shell("ss -Hltn sport = :8471").contains("*:8471"))
            }
        }
    }
}
