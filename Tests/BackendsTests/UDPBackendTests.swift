import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Testing

@testable import Backends

@Suite struct UDPBackendTests {
    static let peer = try! BackendTests.lease("10.5.34.0-24", #"{"PublicIP":"172.30.0.12","PublicIPv6":null}"#)

    static let userspace = """
        link flannel0 mtu 1472 tun
        address 10.5.19.0/32 dev flannel0
        route 10.5.0.0/16 dev flannel0
        tunnel dev flannel0 local 172.30.0.11 port 8285
        tunnel 10.5.34.0/24 to 172.30.0.12
        """

    static let cases: [BackendTests.Case] = [
        .init(
            testDescription: "the default of a config without Backend",
            config: #"{"Network":"10.5.0.0/16"}"#, peers: [peer], expected: userspace),
        .init(
            testDescription: "options without regard to case",
            config:
                #"{"Network":"10.5.0.0/16","Backend":{"Type":"UDP","PORT":7890,"dataplane":"Userspace","peercheck":false}}"#,
            peers: [peer],
            expected: userspace.replacing("port 8285", with: "port 7890 unchecked")),
        .init(
            testDescription:
                "auto goes to userspace where the kernel lacks the plane; a type in a peer's lease is fine",
            config: #"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","DataPlane":"auto"}}"#,
            peers: [try! BackendTests.lease("10.5.34.0-24", #"{"PublicIP":"172.30.0.12","BackendType":"udp"}"#)],
            expected: userspace),
        .init(
            testDescription: "dual stack: one device, each family over its own",
            config: #"{"EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48"}"#,
            own: "10.5.19.0-24&fd00:10:0:19::-64",
            peers: [
                try! BackendTests.lease(
                    "10.5.34.0-24&fd00:10:0:34::-64", #"{"PublicIP":"172.30.0.12","PublicIPv6":"2001:db8::12"}"#)
            ],
            expected: """
                link flannel0 mtu 1452 tun
                address 10.5.19.0/32 dev flannel0
                address fd00:10:0:19::/128 dev flannel0
                route 10.5.0.0/16 dev flannel0
                route fd00:10::/48 dev flannel0
                tunnel dev flannel0 local 172.30.0.11 2001:db8::11 port 8285
                tunnel 10.5.34.0/24 to 172.30.0.12
                tunnel fd00:10:0:34::/64 to 2001:db8::12
                """),
        .init(
            testDescription: "IPv6 alone",
            config: #"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10::/48"}"#,
            own: "fd00:10:0:19::-64",
            peers: [try! BackendTests.lease("fd00:10:0:34::-64", #"{"PublicIPv6":"2001:db8::12"}"#)],
            expected: """
                link flannel0 mtu 1452 tun
                address fd00:10:0:19::/128 dev flannel0
                route fd00:10::/48 dev flannel0
                tunnel dev flannel0 local 2001:db8::11 port 8285
                tunnel fd00:10:0:34::/64 to 2001:db8::12
                """),
    ]

    @Test(arguments: cases) func userspacePlane(_ test: BackendTests.Case) throws {
        let overlay = try BackendTests.state(test.config, own: test.own, test.peers)
        #expect(overlay.refusals.isEmpty)
        #expect(overlay.desired.text == test.expected)
    }

    /// What a stock daemon with udp wrote (Tests/Fixtures/Stock), byte for byte.
    @Test func theLeaseIsStocks() throws {
        let config = try NetworkConfig(json: Array(#"{"Network":"10.5.0.0/16"}"#.utf8))
        let backend = try BackendCatalogue.make(config: config, host: BackendTests.host)
        let value = LeaseCodec.encode(backend.attributes(for: Self.peer.key, existing: nil))
        #expect(String(decoding: value, as: UTF8.self) == #"{"PublicIP":"172.30.0.11","PublicIPv6":null}"#)
    }

    @Test func aPeerWithAnotherBackendIsRefusedAlone() throws {
        let other = try BackendTests.lease(
            "10.5.99.0-24", #"{"PublicIP":"172.30.0.13","BackendType":"vxlan","BackendData":{}}"#)
        let overlay = try BackendTests.state(Self.cases[0].config, own: "10.5.19.0-24", [other, Self.peer])
        #expect(
            overlay.refusals.values.map(\.description) == [
                "the host uses backend vxlan, this one udp: restart its daemon so that it reads the config again"
            ])
        #expect(overlay.desired.text == Self.userspace)
    }

    /// Peer by peer, the steps lead to what is computed at once.
    @Test func aPeerMovesAndGoes() throws {
        var overlay = try BackendTests.state(Self.cases[0].config, own: "10.5.19.0-24", [])
        var state = overlay.desired
        state.apply(overlay.apply(LeaseChanges(updated: [Self.peer.key: Self.peer])))
        #expect(state.nextHops == [IPPrefix("10.5.34.0/24")!: IPAddress("172.30.0.12")!])
        let moved = try BackendTests.lease("10.5.34.0-24", #"{"PublicIP":"172.30.0.77"}"#)
        state.apply(overlay.apply(LeaseChanges(updated: [moved.key: moved])))
        #expect(state.nextHops == [IPPrefix("10.5.34.0/24")!: IPAddress("172.30.0.77")!])
        #expect(state == overlay.desired)
        var gone = LeaseChanges()
        gone.remove(moved.key)
        state.apply(overlay.apply(gone))
        #expect(state.nextHops.isEmpty && state.tunnel != nil)
    }

    @Test(arguments: [
        (#""Port":0"#, "Backend.Port is 0; allowed: a whole number from 1 to 65535"),
        (#""Port":"8285""#, #"Backend.Port is "8285""#),
        (#""DataPlane":"fast""#, #"Backend.DataPlane is "fast"; allowed: "auto", "kernel", "userspace""#),
        (#""DataPlane":1"#, "Backend.DataPlane is 1"),
        (#""PeerCheck":"no""#, #"Backend.PeerCheck is "no"; allowed: true or false"#),
    ]) func badOptionIsNamed(_ option: String, _ message: String) throws {
        let config = try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","Backend":{"Type":"udp",\#(option)}}"#.utf8))
        let error = #expect(throws: BackendError.self) {
            try BackendCatalogue.make(config: config, host: BackendTests.host)
        }
        #expect(error?.description.hasPrefix(message) == true)
    }

    @Test func aHostThatCannotIsToldWhy() throws {
        var host = BackendTests.host
        host.kernelPlane = .unavailable("the kernel has no module fou")
        func error(_ config: String) throws -> String? {
            let config = try NetworkConfig(json: Array(config.utf8))
            return #expect(throws: BackendError.self) { try BackendCatalogue.make(config: config, host: host) }?
                .description
        }
        #expect(
            try error(#"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","DataPlane":"kernel"}}"#)
                == #"Backend.DataPlane is "kernel", but the kernel has no module fou; set it to "auto", or give the kernel what it lacks"#
        )
        host.mtu = 575
        #expect(try error(#"{"Network":"10.5.0.0/16"}"#)?.contains("MTU 575") == true)
        host.mtu = 1300
        #expect(
            try error(#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10::/48"}"#)?.contains("1328") == true
        )
        host.localIPv6 = nil
        #expect(
            try error(#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10::/48"}"#)?.contains(
                "no IPv6 address")
                == true)
    }

    @Test func thePlaneAndItsReason() throws {
        func choice(_ option: String, _ support: KernelPlaneSupport) throws -> String {
            var host = BackendTests.host
            host.kernelPlane = support
            let config = try NetworkConfig(
                json: Array(#"{"Network":"10.5.0.0/16","Backend":{"Type":"udp"\#(option)}}"#.utf8))
            return try UDPBackend(config: config, host: host).choice.description
        }
        #expect(try choice("", .unavailable("there is no fou")) == "userspace, since there is no fou")
        #expect(try choice("", .available) == "kernel, since the kernel has Foo-over-UDP")
        #expect(
            try choice(#","DataPlane":"userspace""#, .available) == "userspace, since Backend.DataPlane says so")
    }
}
