import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Testing

@testable import Backends

/// The udp backend on a host whose kernel has Foo-over-UDP.
@Suite struct UDPKernelPlaneTests {
    static let host = {
        var host = BackendTests.host
        host.kernelPlane = .available
        return host
    }()

    static let ipv4 = """
        fou port 8285 ipproto 4
        link flannel0 mtu 1472 ipip local 172.30.0.11 encap fou encap-dport 8285
        address 10.5.19.0/32 dev flannel0
        route 10.5.0.0/16 dev flannel0
        route 10.5.34.0/24 via 172.30.0.12 dev flannel0 onlink
        check sources on flannel0
        """

    static let cases: [BackendTests.Case] = [
        .init(
            testDescription: "auto", config: #"{"Network":"10.5.0.0/16"}"#, peers: [UDPBackendTests.peer],
            expected: ipv4),
        .init(
            testDescription: "asked for, with options",
            config:
                #"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","Port":7890,"DataPlane":"kernel","PeerCheck":false}}"#,
            peers: [UDPBackendTests.peer],
            expected: ipv4.replacing("8285", with: "7890").replacing("\ncheck sources on flannel0", with: "")),
        .init(
            testDescription: "dual stack: each family has a port and a tunnel of its own",
            config: #"{"EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48"}"#,
            own: "10.5.19.0-24&fd00:10:0:19::-64",
            peers: [
                try! BackendTests.lease(
                    "10.5.34.0-24&fd00:10:0:34::-64", #"{"PublicIP":"172.30.0.12","PublicIPv6":"2001:db8::12"}"#)
            ],
            expected: """
                fou port 8285 -6 ipproto 41
                fou port 8285 ipproto 4
                link flannel0 mtu 1452 ipip local 172.30.0.11 encap fou encap-dport 8285
                link flannel0-v6 mtu 1452 ip6tnl local 2001:db8::11 encap fou encap-dport 8285
                address 10.5.19.0/32 dev flannel0
                address fd00:10:0:19::/128 dev flannel0-v6
                route 10.5.0.0/16 dev flannel0
                route 10.5.34.0/24 via 172.30.0.12 dev flannel0 onlink
                route fd00:10::/48 dev flannel0-v6
                route fd00:10:0:34::/64 via 2001:db8::12 dev flannel0-v6 onlink
                check sources on flannel0
                """),
    ]

    private static func backend(_ config: String, _ host: HostFacts = host) throws -> UDPBackend {
        try UDPBackend(config: NetworkConfig(json: Array(config.utf8)), host: host)
    }

    @Test(arguments: cases) func kernelPlane(_ test: BackendTests.Case) throws {
        let overlay = try BackendTests.state(test.config, host: Self.host, own: test.own, test.peers)
        #expect(overlay.refusals.isEmpty)
        #expect(overlay.desired.text == test.expected)
    }

    @Test func ownershipSpansThePlanes() throws {
        let kernel = try Self.backend(#"{"Network":"10.5.0.0/16"}"#)
        let userspace = try Self.backend(#"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","DataPlane":"userspace"}}"#)
        #expect(kernel.ownInterfaces == userspace.ownInterfaces && kernel.ownPorts == userspace.ownPorts)
        #expect(kernel.formerInterfaces == userspace.formerInterfaces && kernel.formerInterfaces.count == 2)
        #expect(kernel.mtu == userspace.mtu)
        let dual = try Self.backend(
            #"{"EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48"}"#)
        #expect(dual.ownInterfaces.count == 2 && dual.ownPorts.count == 2)
    }

    @Test func theChoiceIsExplained() throws {
        let auto = #"{"Network":"10.5.0.0/16"}"#
        let explicit = #"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","DataPlane":"kernel"}}"#
        var without = Self.host
        without.kernelPlane = .unavailable("it has no Foo-over-UDP")
        #expect(try "\(Self.backend(auto).choice)" == "kernel, since the kernel has Foo-over-UDP")
        #expect(try "\(Self.backend(auto, without).choice)" == "userspace, since it has no Foo-over-UDP")
        let error = #expect(throws: BackendError.self) { try Self.backend(explicit, without) }
        #expect(error?.description.contains("it has no Foo-over-UDP; set it to \"auto\"") == true)
        // After a failure half way, whatever the config says.
        var failed = Self.host
        failed.forcedPlane = UDPPlaneChoice(plane: .userspace, reason: "the kernel plane failed")
        #expect(try Self.backend(explicit, failed).choice.plane == .userspace)
    }
}
