import Backends
import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Logging
import Netlink
import NetlinkTesting
import Operations
import Reconcile
import Testing

@testable import WeftDaemon

@Suite struct PlaneChooserTests {
    private let kernel = FakeKernel()
    private let fou = FakeFOU()

    private func chooser() -> PlaneChooser {
        PlaneChooser(
            probe: KernelPlaneProbe(kernel: kernel, fou: fou), health: HealthBoard(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func config(_ plane: String) throws -> NetworkConfig {
        try NetworkConfig(
            json: Array(#"{"Network":"10.5.0.0/16","Backend":{"Type":"udp","DataPlane":"\#(plane)"}}"#.utf8))
    }

    private func backend(_ chooser: inout PlaneChooser, _ config: NetworkConfig) throws -> UDPBackend {
        let host = HostFacts(
            interface: try #require(InterfaceName("eth0")), mtu: 1500, localIPv4: IPv4Address("172.30.0.11"),
            publicIPv4: IPv4Address("172.30.0.11"))
        return try UDPBackend(config: config, host: chooser.facts(host, for: config))
    }

    private static let failed = {
        var report = PassReport()
        report.failures[.fouPort(FOUPortKey(isIPv6: false, port: 8285))] = "the port is taken"
        return report
    }()

    /// What a pass with a result makes of the backend for a config: whether it stays, and with which plane.
    private func outcome(
        _ chooser: inout PlaneChooser, _ config: NetworkConfig, _ report: PassReport = PassReport()
    ) throws -> (stays: Bool, choice: UDPPlaneChoice) {
        let backend = try backend(&chooser, config)
        return (chooser.judge(report, of: backend), backend.choice)
    }

    @Test func theProbeLeavesNothing() throws {
        var chooser = chooser()
        let choice = try outcome(&chooser, config("auto")).choice
        let links = try kernel.links().count
        #expect(choice.plane == .kernel && links == 1)
    }

    @Test func aKernelWithoutItIsNotAskedForTunnels() throws {
        fou.ports = nil
        var chooser = chooser()
        let choice = try outcome(&chooser, config("auto")).choice
        #expect(choice.plane == .userspace)
        #expect(kernel.journal.isEmpty, "ipip would make tunl0")
        let asked = try config("kernel")
        do {
            _ = try backend(&chooser, asked)
            Issue.record("no error")
        } catch let error as BackendError {
            #expect(error.description.contains("modprobe fou"))
        }
    }

    @Test func aNetworkWithIPv6StaysInUserspace() throws {
        let config = try NetworkConfig(
            json: Array(#"{"EnableIPv6":true,"Network":"10.5.0.0/16","IPv6Network":"fd00:10::/48"}"#.utf8))
        var chooser = chooser()
        let host = HostFacts(
            interface: try #require(InterfaceName("eth0")), mtu: 1500, localIPv4: IPv4Address("172.30.0.11"),
            localIPv6: IPv6Address("fd00:30::11"))
        let choice = try UDPBackend(config: config, host: chooser.facts(host, for: config)).choice
        #expect(choice.plane == .userspace && choice.reason.hasPrefix("the network has IPv6"))
        #expect(kernel.journal.isEmpty)
    }

    @Test func aFailureAtAStartGoesToUserspaceWhereItMay() throws {
        var chooser = chooser()
        let auto = try config("auto")
        let first = try outcome(&chooser, auto, Self.failed)
        let second = try outcome(&chooser, auto, Self.failed)
        #expect(!first.stays && first.choice.plane == .kernel)
        #expect(second.stays, "there is no third")
        #expect(second.choice.plane == .userspace && second.choice.reason.contains("the port is taken"))
        // Asked for: no other plane without a word.
        var other = self.chooser()
        let asked = try outcome(&other, config("kernel"), Self.failed)
        #expect(asked.stays && other.current?.plane == .kernel)
    }

    @Test func aFailedChangeGoesBack() throws {
        var chooser = chooser()
        let former = try outcome(&chooser, config("userspace"))
        let change = try outcome(&chooser, config("kernel"), Self.failed)
        let back = try outcome(&chooser, config("kernel"))
        #expect(former.stays && !change.stays && back.stays && back.choice.plane == .userspace)
        // Another Backend is a new try.
        let anew = try outcome(&chooser, config("auto"))
        #expect(anew.choice.plane == .kernel)
    }

    /// In a plane that carries packets a failure is the reconciler's to try again.
    @Test func aLaterFailureChangesNothing() throws {
        var chooser = chooser()
        let first = try outcome(&chooser, config("auto"))
        let later = try outcome(&chooser, config("auto"), Self.failed)
        #expect(first.stays && later.stays && chooser.current?.plane == .kernel)
    }
}
