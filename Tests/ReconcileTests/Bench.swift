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

/// Interface settings in memory.
final class FakeSettings: InterfaceSettings {
    let checking = Mutex<[InterfaceName: Bool]>([:])
    let refusing = Mutex<Set<InterfaceName>>([])

    func refuseRouterAdvertisements(_ interface: InterfaceName) throws(SystemCallError) {
        refusing.withLock { _ = $0.insert(interface) }
    }

    func checkSources(_ interface: InterfaceName, _ isOn: Bool) throws(SystemCallError) {
        checking.withLock { $0[interface] = isOn }
    }

    func enableIPv6(_ interface: InterfaceName) throws(SystemCallError) {}

    private let tunMaker: @Sendable (InterfaceName) -> CInt?

    /// - Parameter tunMaker: makes the device, or says with what error number the kernel refuses.
    init(tunMaker: @escaping @Sendable (InterfaceName) -> CInt? = { _ in ENOENT }) { self.tunMaker = tunMaker }

    func makeTun(_ interface: InterfaceName) throws(SystemCallError) {
        if let code = tunMaker(interface) {
            throw SystemCallError(code: code, call: "ioctl TUNSETIFF", subject: interface.text)
        }
    }
}

/// A fake kernel with an uplink, and a reconciler over it.
struct Bench {
    static let overlay = InterfaceName("flannel.1")!
    static let uplinkName = InterfaceName("eth0")!
    static let bridge = InterfaceName("docker0")!
    static let ownSubnet = IPPrefix("10.5.19.0/24")!
    static let policy = OwnershipPolicy(interfaces: [overlay], networks: [IPPrefix("10.5.0.0/16")!])

    let kernel = FakeKernel()
    let uplink: Int32
    let reconciler: Reconciler
    let sides: [Side]

    init(_ sides: [Side] = [.ipv4]) throws {
        self.sides = sides
        uplink = try #require(
            kernel.makeLink(NewLink(name: Self.uplinkName, kind: .veth(peer: nil), mtu: 1500, isUp: true)))
        for side in sides { kernel.change(.addAddress(side.uplinkAddress(uplink))) }
        reconciler = Reconciler(
            kernel: kernel, settings: FakeSettings(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    static func desired(peers: Range<Int>, mtu: UInt32? = nil, port: UInt16 = 8472) -> DesiredState {
        Side.ipv4.desired(peers: peers, mtu: mtu, port: port)
    }

    static func peer(_ number: Int, host: Int? = nil) -> DesiredState { Side.ipv4.peer(number, host: host) }

    var policy: OwnershipPolicy {
        OwnershipPolicy(interfaces: Set(sides.map(\.overlay)), networks: sides.map(\.network))
    }

    /// What the kernel holds of ours, read without the reconciler.
    func observed() throws -> DesiredState {
        var state = TrackedState()
        let reader = KernelReader(kernel: kernel, policy: policy)
        try reader.readObjects(into: &state, try reader.readLinks(into: &state))
        var result = DesiredState()
        for case (let name, .known(let spec, isUp: true)) in state.links.observedState { result.links[name] = spec }
        result.addresses = Set(state.addresses.observedState.keys)
        result.routes = state.routes.observedState.filter(\.value.isMarked).mapValues(\.spec)
        #expect(result.routes.count == state.routes.observedState.count, "every route carries the protocol number")
        result.blackholes = Set(state.blackholes.observedState.filter(\.value.isMarked).keys.map(\.destination))
        result.neighbours = state.neighbours.observedState
        result.fdb = state.fdb.observedState
        // What the reader leaves out of the comparison is looked at without it.
        for side in sides {
            guard let index = try index(side) else { continue }
            #expect(try kernel.forwardingEntries(interface: index).allSatisfy { $0.port == nil })
            let routes = try kernel.routes(RouteFilter(table: Route.mainTable, interface: index))
                .filter { $0.proto != .kernel }
            #expect(routes.count == result.routes.count { $0.value.interface == side.overlay }, "\(routes)")
        }
        return result
    }

    /// Runs passes until all is settled, as the daemon's loop would.
    func settle(_ limit: Int = 12) async throws {
        for _ in 0..<limit {
            await reconciler.reconcile()
            if await reconciler.status.isSettled { return }
            await reconciler.audit()
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    var overlayIndex: Int32? { get throws { try index(.ipv4) } }

    func index(_ side: Side) throws -> Int32? { try kernel.links().first { $0.name == side.overlay }?.index }
}
