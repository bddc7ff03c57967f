import IPNetwork
import Testing

@testable import Firewall

extension InTheKernel {
    /// Packets pass every plane, so each may drop what another accepts (flannel 1306).
    @Suite struct PlaneTests {
        @Test(arguments: Setup.all, ["nft", "legacy"])
        func dropInEitherFlavourIsMet(_ setup: Setup, dropping: String) async throws {
            try await Namespaces.with(["host", "container", "outside", "peer"]) { namespaces in
                try await namespaces.wire()
                try await namespaces.run(
                    "host", "for c in iptables ip6tables; do $c-\(dropping) -P FORWARD DROP; done")
                #expect(try await !namespaces.pings("container", "10.5.7.2"))
                let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                #expect(try await keeper.update(ruleset(ipv6: true)).condition == .ok)
                for address in ["10.5.7.2", "fd00:10:5:7::2", "192.0.2.2", "2001:db8::2"] {
                    #expect(try await namespaces.pings("container", address), "\(address)")
                }
                // Docker comes up later, or an operator closes the other plane.
                try await namespaces.run(
                    "host",
                    """
                    for c in iptables-nft iptables-legacy; do
                        $c -P FORWARD DROP; $c -N DOCKER-USER; $c -I FORWARD -j DOCKER-USER; $c -A FORWARD -j DROP
                    done
                    """)
                #expect(await keeper.check().condition == .ok)
                #expect(try await namespaces.pings("container", "10.5.7.2"))
                // What an operator forbids in DOCKER-USER stays forbidden.
                try await namespaces.run("host", "iptables-\(dropping) -A DOCKER-USER -d 10.5.7.2 -j DROP")
                await keeper.check()
                #expect(try await !namespaces.pings("container", "10.5.7.2"))
            }
        }

        @Test(arguments: Setup.all)
        func ipv6HasTheRightAddressesAndGoesWithItsFamily(_ setup: Setup) async throws {
            try await Namespaces.with(["host", "container", "outside", "peer"]) { namespaces in
                try await namespaces.wire()
                try await namespaces.run("host", "ip6tables-nft -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP")
                let keeper = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                // IPv6 alone, then both, then IPv4 alone.
                #expect(try await keeper.update(ruleset(ipv4: false, ipv6: true)).condition == .ok)
                try await namespaces.only(from: "fd00:10:5:34::2", "peer")
                #expect(
                    try await namespaces.pings("container", "fd00:10:5:7::2"), "overlay to overlay keeps its source")
                try await namespaces.only(from: "2001:db8::1", "outside")
                #expect(try await namespaces.pings("container", "2001:db8::2"), "overlay to outside is masqueraded")
                try await namespaces.run("outside", "ip route add fd00:10:5:34::/64 via 2001:db8::1")
                try await namespaces.only(from: "2001:db8::2", "container")
                #expect(try await namespaces.pings("outside", "fd00:10:5:34::2"), "outside keeps its source")

                #expect(try await keeper.update(ruleset(ipv6: true)).condition == .ok)
                #expect(try await namespaces.pings("container", "192.0.2.2"))
                #expect(try await namespaces.pings("container", "fd00:10:5:7::2"))

                let left = {
                    try await namespaces.run(
                        "host", "ip6tables-nft-save; ip6tables-legacy-save; nft list tables ip6"
                    ).split(separator: "\n").filter { $0.lowercased().contains("flannel") }
                }
                #expect(try await keeper.update(ruleset()).condition == .ok)
                #expect(try await left() == [])
                #expect(try await namespaces.pings("container", "192.0.2.2"))
                // The same at a start: the subnet file knows what was served.
                try await keeper.update(ruleset(ipv6: true))
                #expect(try await !left().isEmpty)
                let next = namespaces.keeper("host", setup.preference, legacy: setup.isLegacy)
                var onlyIPv4 = try ruleset()
                onlyIPv4.formerNetworks = try [#require(IPPrefix("fd00:10:5::/48"))]
                #expect(await next.update(onlyIPv4).condition == .ok)
                #expect(try await left() == [])
            }
        }
    }
}
