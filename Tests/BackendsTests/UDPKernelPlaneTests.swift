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
        #expect(
            kernel.formerInterfaces == userspace.formerInterfaces && kernel.formerInterfaces == kernel.ownInterfaces)
        #expect(kernel.mtu == userspace.mtu)
    }

    /// Whatever the host's kernel has: also where a lease is claimed, before the kernel is asked.
    @Test(arguments: [
        #""EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48""#,
        #""EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10::/48""#,
    ])
    func aNetworkWithIPv6StaysInUserspace(_ network: String) throws {
        let auto = try Self.backend("{\(network)}")
        #expect(auto.choice.plane == .userspace && auto.choice.reason.contains("the network has IPv6"))
        let error = #expect(throws: BackendError.self) {
            try Self.backend(#"{\#(network),"Backend":{"Type":"udp","DataPlane":"kernel"}}"#)
        }
        #expect(error?.description.contains("the network has IPv6") == true)
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
