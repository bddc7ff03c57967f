import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Testing

@testable import Backends

/// Leases in, the text of the desired kernel state out.
@Suite struct BackendTests {
    static let host = HostFacts(
        interface: InterfaceName("eth0")!, mtu: 1500, localIPv4: IPv4Address(172, 30, 0, 11),
        localIPv6: IPv6Address("2001:db8::11"), publicIPv4: IPv4Address(172, 30, 0, 11),
        publicIPv6: IPv6Address("2001:db8::11"),
        linkPrefixes: [IPPrefix("172.30.0.0/24")!, IPPrefix("2001:db8::/64")!])

    static func lease(_ name: String, _ value: String, created: Int64 = 1) throws -> Lease {
        try LeaseCodec.decode(
            LeaseRecord(
                name: name, value: Array(value.utf8), createRevision: created, modRevision: created,
                isReservation: false))
    }

    static func state(_ config: String, host: HostFacts = host, own: String, _ peers: [Lease]) throws -> OverlayState {
        let config = try NetworkConfig(json: Array(config.utf8))
        let backend = try BackendCatalogue.make(config: config, host: host)
        let key = try #require(SubnetKey(own))
        let lease = Lease(
            key: key, attributes: backend.attributes(for: key, existing: nil), isReservation: false, createRevision: 1,
            modRevision: 1)
        var overlay = OverlayState(backend: backend, lease: lease)
        _ = overlay.apply(LeaseChanges(updated: Dictionary(uniqueKeysWithValues: peers.map { ($0.key, $0) })))
        return overlay
    }

    static let vxlanPeer = try! lease(
        "10.5.34.0-24",
        #"{"PublicIP":"172.30.0.12","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"8e:01:02:03:04:05"}}"#
    )

    struct Case: CustomTestStringConvertible {
        var testDescription: String
        var config: String
        var own = "10.5.19.0-24"
        var peers: [Lease]
        var expected: String
    }

    static let cases: [Case] = [
        Case(
            testDescription: "vxlan with defaults",
            config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#,
            peers: [vxlanPeer],
            expected: """
                link flannel.1 mtu 1450 address ee:04:0a:05:13:00 vxlan id 1 local 172.30.0.11 dev eth0 dstport 8472 nolearning
                address 10.5.19.0/32 dev flannel.1
                neighbour 10.5.34.0 lladdr 8e:01:02:03:04:05 dev flannel.1
                fdb 8e:01:02:03:04:05 dst 172.30.0.12 dev flannel.1
                route 10.5.34.0/24 via 10.5.34.0 dev flannel.1 onlink
                """),
        Case(
            testDescription: "vxlan with every option; v0.11 publishes no VNI",
            config:
                #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","vni":7,"PORT":4789,"MTU":9000,"gbp":true,"Learning":true}}"#,
            peers: [
                try! lease(
                    "10.5.34.0-24",
                    #"{"PublicIP":"172.30.0.12","BackendType":"vxlan","BackendData":{"VtepMAC":"8e:01:02:03:04:05"}}"#)
            ],
            expected: """
                link flannel.7 mtu 8950 address ee:04:0a:05:13:00 vxlan id 7 local 172.30.0.11 dev eth0 dstport 4789 learning gbp
                address 10.5.19.0/32 dev flannel.7
                neighbour 10.5.34.0 lladdr 8e:01:02:03:04:05 dev flannel.7
                fdb 8e:01:02:03:04:05 dst 172.30.0.12 dev flannel.7
                route 10.5.34.0/24 via 10.5.34.0 dev flannel.7 onlink
                """),
        Case(
            testDescription: "DirectRouting takes the plain route for a peer on the own link only",
            config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","DirectRouting":true}}"#,
            peers: [
                vxlanPeer,
                try! lease(
                    "10.5.35.0-24",
                    #"{"PublicIP":"198.51.100.7","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"8e:01:02:03:04:06"}}"#
                ),
            ],
            expected: """
                link flannel.1 mtu 1450 address ee:04:0a:05:13:00 vxlan id 1 local 172.30.0.11 dev eth0 dstport 8472 nolearning
                address 10.5.19.0/32 dev flannel.1
                neighbour 10.5.35.0 lladdr 8e:01:02:03:04:06 dev flannel.1
                fdb 8e:01:02:03:04:06 dst 198.51.100.7 dev flannel.1
                route 10.5.34.0/24 via 172.30.0.12 dev eth0
                route 10.5.35.0/24 via 10.5.35.0 dev flannel.1 onlink
                """),
        Case(
            testDescription: "vxlan dual stack",
            config:
                #"{"EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48","Backend":{"Type":"vxlan"}}"#,
            own: "10.5.19.0-24&fd00:10:0:19::-64",
            peers: [
                try! lease(
                    "10.5.34.0-24&fd00:10:0:34::-64",
                    #"{"PublicIP":"172.30.0.12","PublicIPv6":"2001:db8::12","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"8e:01:02:03:04:05"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:01:02:03:04:06"}}"#
                )
            ],
            expected: """
                link flannel-v6.1 mtu 1430 address ee:06:06:c2:d7:93 vxlan id 1 local 2001:db8::11 dev eth0 dstport 8472 nolearning
                link flannel.1 mtu 1450 address ee:04:0a:05:13:00 vxlan id 1 local 172.30.0.11 dev eth0 dstport 8472 nolearning
                address 10.5.19.0/32 dev flannel.1
                address fd00:10:0:19::/128 dev flannel-v6.1
                neighbour fd00:10:0:34:: lladdr 8e:01:02:03:04:06 dev flannel-v6.1
                neighbour 10.5.34.0 lladdr 8e:01:02:03:04:05 dev flannel.1
                fdb 8e:01:02:03:04:06 dst 2001:db8::12 dev flannel-v6.1
                fdb 8e:01:02:03:04:05 dst 172.30.0.12 dev flannel.1
                route 10.5.34.0/24 via 10.5.34.0 dev flannel.1 onlink
                route fd00:10:0:34::/64 via fd00:10:0:34:: dev flannel-v6.1 onlink
                """),
        Case(
            testDescription: "host-gw",
            config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#,
            peers: [try! lease("10.5.34.0-24", #"{"PublicIP":"172.30.0.12","BackendType":"host-gw"}"#)],
            expected: "route 10.5.34.0/24 via 172.30.0.12 dev eth0"),
    ]

    @Test(arguments: cases) func desiredState(_ test: Case) throws {
        let overlay = try Self.state(test.config, own: test.own, test.peers)
        #expect(overlay.refusals.isEmpty)
        #expect(overlay.desired.text == test.expected)
    }

    /// Each is refused alone: the good peer beside it is served.
    @Test(arguments: [
        (#"{"PublicIP":"172.30.0.13","BackendType":"host-gw"}"#, "the host uses backend host-gw, this one vxlan"),
        (#"{"PublicIP":"172.30.0.13","BackendType":"vxlan"}"#, "BackendData is missing"),
        (#"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":"x"}"#, "BackendData is missing"),
        (
            #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{"VNI":1}}"#,
            "BackendData.VtepMAC is missing"
        ),
        (
            #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"01:00:5e:00:00:01"}}"#,
            #"BackendData.VtepMAC is "01:00:5e:00:00:01"; allowed: a unicast MAC address"#
        ),
        (
            #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"00:00:00:00:00:00"}}"#,
            "BackendData.VtepMAC is"
        ),
        (
            #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{"VNI":2,"VtepMAC":"8e:01:02:03:04:09"}}"#,
            "BackendData.VNI is 2; allowed: 1"
        ),
        (
            #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{"VNI":-1,"VtepMAC":"8e:01:02:03:04:09"}}"#,
            "BackendData.VNI is -1"
        ),
        (
            #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"8e:01:02:03:04:05"}}"#,
            "its VTEP MAC address 8e:01:02:03:04:05 is in use by another host"
        ),
    ]) func badVXLANPeerIsRefusedAlone(_ value: String, _ reason: String) throws {
        let bad = try Self.lease("10.5.99.0-24", value, created: 5)
        let overlay = try Self.state(Self.cases[0].config, own: "10.5.19.0-24", [bad, Self.vxlanPeer])
        #expect(overlay.refusals.keys.map(\.description) == ["10.5.99.0-24"])
        #expect(overlay.refusals.values.first?.description.contains(reason) == true)
        #expect(overlay.desired.text == Self.cases[0].expected)
    }

    @Test(arguments: ["172.30.0.255", "172.30.0.0"]) func noHostIsAtAPrefixesEnds(_ address: String) throws {
        let odd = try Self.lease("10.5.34.0-24", #"{"PublicIP":"\#(address)","BackendType":"host-gw"}"#)
        let overlay = try Self.state(Self.cases[4].config, own: "10.5.19.0-24", [odd])
        #expect(overlay.desired.isEmpty && overlay.refusals.count == 1)
    }

    @Test func hostGatewayNeedsTheSameLink() throws {
        let far = try Self.lease("10.5.34.0-24", #"{"PublicIP":"198.51.100.7","BackendType":"host-gw"}"#)
        let overlay = try Self.state(Self.cases[4].config, own: "10.5.19.0-24", [far])
        #expect(overlay.desired.isEmpty)
        #expect(overlay.refusals.values.first?.description.contains("198.51.100.7 is not on the link of eth0") == true)
    }

    @Test func aPublishedVTEPAddressIsKept() throws {
        let config = try NetworkConfig(json: Array(Self.cases[0].config.utf8))
        let backend = try BackendCatalogue.make(config: config, host: Self.host)
        let kept = backend.attributes(for: Self.vxlanPeer.key, existing: Self.vxlanPeer)
        #expect(kept.backendData?["VtepMAC"] == .string("8e:01:02:03:04:05"))
        let value = LeaseCodec.encode(backend.attributes(for: Self.vxlanPeer.key, existing: nil))
        #expect(
            String(decoding: value, as: UTF8.self)
                == #"{"PublicIP":"172.30.0.11","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"ee:04:0a:05:22:00"}}"#
        )
    }

    @Test(arguments: [
        (#""VNI":0"#, "Backend.VNI is 0; allowed: a whole number from 1 to 16777215, without quotes"),
        (#""VNI":16777216"#, "Backend.VNI is 16777216"),
        (#""VNI":"1""#, #"Backend.VNI is "1""#),
        (#""Port":65536"#, "Backend.Port is 65536"),
        (#""MTU":100"#, "Backend.MTU is 100; allowed: 0 for the interface's own, or 576 to 65535"),
        (#""GBP":1"#, "Backend.GBP is 1; allowed: true or false"),
        (#""DirectRouting":"yes""#, "Backend.DirectRouting"),
    ]) func badOptionIsNamed(_ option: String, _ message: String) throws {
        let config = try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan",\#(option)}}"#.utf8))
        let error = #expect(throws: BackendError.self) { try BackendCatalogue.make(config: config, host: Self.host) }
        #expect(error?.description.hasPrefix(message) == true)
    }

    @Test func unknownBackendIsNamedWithTheKnownOnes() throws {
        let config = try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","Backend":{"Type":"carrier-pigeon"}}"#.utf8))
        let error = #expect(throws: BackendError.self) { try BackendCatalogue.make(config: config, host: Self.host) }
        #expect(error?.description == #"Backend.Type is "carrier-pigeon"; this version has: udp, vxlan, host-gw"#)
    }
}
