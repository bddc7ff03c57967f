import Glibc
import IPNetwork
import KernelState
import LinuxSystem
import Logging
import Netlink
import NetlinkTesting
import Synchronization
import Testing

@testable import Reconcile

/// The udp backend's kernel plane: a FOU port, a tunnel interface, and the change from and to a TUN device of one name.
@Suite struct KernelPlaneTests {
    static let device = InterfaceName("flannel0")!
    static let deviceIPv6 = InterfaceName("flannel0-v6")!
    static let standby = InterfaceName("flannel0.new")!
    static let port = FOUPortKey(isIPv6: false, port: 8285)
    static let policy = OwnershipPolicy(
        interfaces: [device, deviceIPv6], networks: [IPPrefix("10.5.0.0/16")!, IPPrefix("fd00:10::/48")!],
        fouPorts: [port, FOUPortKey(isIPv6: true, port: 8285)])

    let kernel = FakeKernel()
    let fou = FakeFOU()
    let settings: FakeSettings
    let reconciler: Reconciler
    let refusesTun = Flag()

    final class Flag: Sendable {
        private let value = Mutex(false)
        var isSet: Bool {
            get { value.withLock { $0 } }
            set { value.withLock { $0 = newValue } }
        }
    }

    init() throws {
        _ = kernel.makeLink(NewLink(name: Bench.uplinkName, kind: .veth(peer: nil), mtu: 1500, isUp: true))
        settings = FakeSettings { [kernel, refusesTun] name in refusesTun.isSet ? ENOENT : kernel.makeTun(name) }
        reconciler = Reconciler(
            kernel: kernel, fou: fou, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    // MARK: What is wanted

    static func kernelPlane(local: String = "172.30.0.11", port: UInt16 = 8285) -> DesiredState {
        var state = DesiredState()
        let key = FOUPortKey(isIPv6: false, port: port)
        state.fouPorts[key] = .sameFamily(key)
        state.links[device] = LinkSpec(
            name: device, kind: .fouTunnel(FOUTunnelSpec(local: IPAddress(local)!, port: port)), mtu: 1472)
        state.checkedInterfaces = [device]
        state.merge(addressAndNetwork)
        state.routes[RouteKey(destination: IPPrefix("10.5.34.0/24")!)] = RouteSpec(
            interface: device, gateway: IPAddress("172.30.0.12")!, onlink: true)
        return state
    }

    static let userspacePlane: DesiredState = {
        var state = addressAndNetwork
        state.links[device] = LinkSpec(name: device, kind: .tun, mtu: 1472)
        return state
    }()

    private static let addressAndNetwork: DesiredState = {
        var state = DesiredState()
        state.addresses.insert(AddressKey(interface: device, address: IPAddress("10.5.19.0")!, prefixLength: 32))
        state.routes[RouteKey(destination: IPPrefix("10.5.0.0/16")!)] = RouteSpec(interface: device, gateway: nil)
        return state
    }()

    // MARK: What is

    func pass(_ desired: DesiredState) async -> PassReport {
        await reconciler.setDesired(desired, policy: Self.policy)
        return await reconciler.reconcile()
    }

    func link(_ name: InterfaceName) throws -> Link? { try kernel.links().first { $0.name == name } }

    func routes() throws -> [String] {
        let index = try link(Self.device)?.index
        return try kernel.routes(RouteFilter(table: Route.mainTable, interface: index))
            .filter { $0.proto == OwnershipPolicy.routeProtocol }.map { "\($0.destination)" }.sorted()
    }

    func expectKernelPlane(local: String = "172.30.0.11", port: UInt16 = 8285) throws {
        #expect(fou.ports == [FOUPort(family: .v4, port: port, innerProtocol: 4)])
        let link = try #require(try link(Self.device))
        guard case .ipip(let tunnel) = link.kind else {
            Issue.record("\(link)")
            return
        }
        #expect(tunnel.local == IPAddress(local) && tunnel.remote == nil && tunnel.ttl == 64)
        #expect(tunnel.setsDoNotFragment == true && tunnel.innerProtocol == 4)
        #expect(tunnel.encapsulation == TunnelEncapsulation(type: .fou, destinationPort: port))
        #expect(link.mtu == 1472 && link.flags.contains(.up))
        #expect(try routes() == ["10.5.0.0/16", "10.5.34.0/24"])
        #expect(try self.link(Self.standby) == nil)
    }

    // MARK: Making and healing

    @Test func isMadeInOnePass() async throws {
        let report = await pass(Self.kernelPlane())
        #expect(report.failures.isEmpty)
        #expect(await reconciler.status.isSettled)
        try expectKernelPlane()
        #expect(settings.checking.withLock { $0[Self.device] } == true)
        #expect(await pass(Self.kernelPlane()).requests == 0)
    }

    @Test func anIPv6PortAndTunnelGoBesideIt() async throws {
        var desired = Self.kernelPlane()
        let key = FOUPortKey(isIPv6: true, port: 8285)
        desired.fouPorts[key] = .sameFamily(key)
        let tunnel = FOUTunnelSpec(local: IPAddress("2001:db8::11")!, port: 8285)
        desired.links[Self.deviceIPv6] = LinkSpec(name: Self.deviceIPv6, kind: .fouTunnel(tunnel), mtu: 1452)
        #expect(await pass(desired).failures.isEmpty)
        #expect(fou.ports?.contains(FOUPort(family: .v6, port: 8285, innerProtocol: 41)) == true)
        guard case .ip6tnl(let made)? = try link(Self.deviceIPv6)?.kind else {
            Issue.record("no ip6tnl")
            return
        }
        #expect(made.flags == IPTunnelSettings.ignoreEncapsulationLimit && made.innerProtocol == 41)
        #expect(made.encapsulation?.flags == .checksumIPv6)
        // Of the one family alone: the other's go.
        #expect(await pass(Self.kernelPlane()).failures.isEmpty)
        try expectKernelPlane()
        #expect(try link(Self.deviceIPv6) == nil)
    }

    enum Fault: String, CaseIterable, Sendable {
        case portRemoved, portOfAnotherKind, linkDeleted, linkDown, mtuChanged, routesFlushed, renamed, altered
        case remoteSet, plainIPIP, alien
    }

    @Test(arguments: Fault.allCases) func isHealed(_ fault: Fault) async throws {
        _ = await pass(Self.kernelPlane())
        let index = try #require(try link(Self.device)?.index)
        var settings = FOUTunnelSpec(local: IPAddress("172.30.0.11")!, port: 8285).settings
        switch fault {
        case .portRemoved: fou.ports = []
        case .portOfAnotherKind: fou.ports = [FOUPort(family: .v4, port: 8285, innerProtocol: 47)]
        case .linkDeleted: kernel.change(.deleteLink(index: index))
        case .linkDown: kernel.change(.changeLink(LinkChange(index: index, isUp: false)))
        case .mtuChanged: kernel.change(.changeLink(LinkChange(index: index, mtu: 1300)))
        case .routesFlushed:
            for route in try kernel.routes(RouteFilter(interface: index)) { kernel.change(.deleteRoute(route)) }
        case .renamed: kernel.change(.changeLink(LinkChange(index: index, name: InterfaceName("stolen0")!)))
        case .altered:
            settings.ttl = 3
            settings.encapsulation?.destinationPort = 9999
            kernel.change(.changeLink(LinkChange(index: index, kind: .ipip(settings))))
        case .remoteSet:
            settings.remote = IPAddress("172.30.0.12")
            kernel.change(.changeLink(LinkChange(index: index, kind: .ipip(settings))))
        case .plainIPIP:
            settings.encapsulation = nil
            kernel.change(.changeLink(LinkChange(index: index, kind: .ipip(settings))))
        case .alien:
            kernel.change(.deleteLink(index: index))
            _ = kernel.makeLink(NewLink(name: Self.device, kind: .bridge(BridgeSettings())))
        }
        for _ in 0..<3 {
            await reconciler.audit()
            await reconciler.reconcile()
        }
        #expect(await reconciler.status.isSettled)
        try expectKernelPlane()
    }

    /// Without a notification: the look once a second finds it.
    @Test func aLostPortIsFoundByLooking() async throws {
        _ = await pass(Self.kernelPlane())
        let running = Task { await reconciler.run() }
        fou.ports = []
        for _ in 0..<1_500 where fou.ports?.isEmpty == true { try await Task.sleep(for: .milliseconds(10)) }
        running.cancel()
        await running.value
        try expectKernelPlane()
    }

    @Test func anEqualPortAndDeviceAreAdopted() async throws {
        fou.ports = [FOUPort(family: .v4, port: 8285, innerProtocol: 4)]
        let tunnel = FOUTunnelSpec(local: IPAddress("172.30.0.11")!, port: 8285)
        let index = kernel.makeLink(NewLink(name: Self.device, kind: tunnel.linkKind, mtu: 1472, isUp: true))
        #expect(await pass(Self.kernelPlane()).failures.isEmpty)
        try expectKernelPlane()
        #expect(try link(Self.device)?.index == index && fou.journal.isEmpty)
    }

    /// The interface lives on, so that nothing on it is lost.
    @Test func anotherAddressChangesTheLivingDevice() async throws {
        _ = await pass(Self.kernelPlane())
        let index = try link(Self.device)?.index
        #expect(await pass(Self.kernelPlane(local: "172.30.0.77")).failures.isEmpty)
        try expectKernelPlane(local: "172.30.0.77")
        #expect(try link(Self.device)?.index == index)
    }

    @Test func anotherPortLeavesNoneBehind() async throws {
        _ = await pass(Self.kernelPlane())
        await reconciler.setDesired(
            Self.kernelPlane(port: 7890),
            policy: OwnershipPolicy(
                interfaces: [Self.device], networks: [], fouPorts: [FOUPortKey(isIPv6: false, port: 7890)]))
        #expect(await reconciler.reconcile().failures.isEmpty)
        try expectKernelPlane(port: 7890)
    }

    // MARK: Changing the plane

    @Test func aTUNDeviceMakesWay() async throws {
        #expect(await pass(Self.userspacePlane).failures.isEmpty)
        #expect(try link(Self.device)?.kind == .tun(TunSettings()))
        #expect(await pass(Self.kernelPlane()).failures.isEmpty)
        try expectKernelPlane()
        #expect(await pass(Self.userspacePlane).failures.isEmpty)
        #expect(try link(Self.device)?.kind == .tun(TunSettings()) && fou.ports == [])
        #expect(try routes() == ["10.5.0.0/16"] && link(Self.standby) == nil)
        #expect(await pass(Self.userspacePlane).requests == 0)
    }

    /// The new device is made before the old one goes, and the port before either: whatever fails, the TUN device and its
    /// routes are there for the plane to go back to.
    @Test(arguments: ["port taken", "no FOU", "port refused", "no ipip", "the standby's name is taken"])
    func whatFailsLeavesTheTUNDevice(_ failure: String) async throws {
        _ = await pass(Self.userspacePlane)
        let index = try link(Self.device)?.index
        switch failure {
        case "port taken": fou.taken = [8285]
        case "no FOU": fou.ports = nil
        case "port refused": fou.failure = EINVAL
        case "no ipip":
            kernel.plan = FaultPlan([
                .init(
                    .requestMatching { if case .createLink(let link) = $0 { link.kind.name == "ipip" } else { false } },
                    code: EOPNOTSUPP, isLasting: true)
            ])
        default:
            _ = kernel.makeLink(NewLink(name: Self.standby, kind: .bridge(BridgeSettings())))
            kernel.plan = FaultPlan([
                .init(
                    .requestMatching { if case .deleteLink = $0 { true } else { false } }, code: EBUSY, isLasting: true)
            ])
        }
        let report = await pass(Self.kernelPlane())
        #expect(!report.failures.isEmpty)
        #expect(try link(Self.device)?.index == index)
        let causes = await reconciler.status.hostFailures.joined()
        switch failure {
        case "port taken": #expect(causes.contains("another program has this UDP port"))
        case "no FOU": #expect(causes.contains("modprobe fou"))
        case "no ipip": #expect(causes.contains("modprobe ipip"))
        default: break
        }
        kernel.plan = .none
        #expect(await pass(Self.userspacePlane).failures.isEmpty)
        #expect(try link(Self.device)?.index == index && routes() == ["10.5.0.0/16"])
    }

    @Test func aTUNDeviceThatCannotBeMadeLeavesTheTunnel() async throws {
        _ = await pass(Self.kernelPlane())
        let index = try link(Self.device)?.index
        refusesTun.isSet = true
        #expect(await !pass(Self.userspacePlane).failures.isEmpty)
        #expect(try link(Self.device)?.index == index)
        #expect(await pass(Self.kernelPlane()).failures.isEmpty)
        try expectKernelPlane()
        #expect(try link(Self.device)?.index == index)
    }

    /// Every request of the change refused once: the next passes come to the same end.
    @Test(arguments: 0..<6, [false, true]) func everySingleFault(_ number: Int, _ toKernel: Bool) async throws {
        let (from, to) =
            toKernel
            ? (Self.userspacePlane, Self.kernelPlane()) : (Self.kernelPlane(), Self.userspacePlane)
        _ = await pass(from)
        kernel.plan = FaultPlan([.init(.request(number), code: EBUSY)])
        _ = await pass(to)
        for _ in 0..<4 {
            await reconciler.audit()
            await reconciler.reconcile()
        }
        #expect(await reconciler.status.isSettled)
        if toKernel {
            try expectKernelPlane()
        } else {
            #expect(try link(Self.device)?.kind == .tun(TunSettings()) && routes() == ["10.5.0.0/16"])
            #expect(fou.ports == [])
        }
    }
}
