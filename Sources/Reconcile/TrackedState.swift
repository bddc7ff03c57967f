import IPNetwork
import KernelState
import LinuxSystem
import Netlink

/// A kernel object of Weft's, by what the kernel knows it by.
public enum ObjectKey: Hashable, Sendable {
    case link(InterfaceName)
    case address(AddressKey)
    case route(RouteKey)
    case blackhole(RouteKey)
    case neighbour(NeighbourKey)
    case fdb(FDBKey)
    case nexthop(NexthopKey)
    case fouPort(FOUPortKey)
}

/// A nexthop object of Weft's: which gateway on which interface.
public struct NexthopKey: Hashable, Sendable {
    /// The peer that packets are handed to.
    public var gateway: IPAddress
    /// Where packets leave.
    public var interface: InterfaceName
}

/// An interface as the kernel has it.
enum LinkValue: Equatable {
    case known(LinkSpec, isUp: Bool)
    /// Something else has the name: a kind that Weft would never make there.
    case alien(kind: String)
}

/// A route as the kernel has it; `isMarked` says that it carries Weft's protocol number.
struct RouteValue: Equatable {
    var spec: RouteSpec
    var isMarked: Bool
}

/// A route that drops packets; `isMarked` says that it carries Weft's protocol number.
struct BlackholeValue: Equatable {
    var isMarked: Bool
}

/// The value of an object that is fully said by its key.
struct Presence: Equatable {}

/// What should be and what is, for every kind of object.
struct TrackedState {
    var links = DeltaTracker<InterfaceName, LinkValue>()
    var addresses = DeltaTracker<AddressKey, Presence>()
    var routes = DeltaTracker<RouteKey, RouteValue>()
    var blackholes = DeltaTracker<RouteKey, BlackholeValue>()
    var neighbours = DeltaTracker<NeighbourKey, MACAddress>()
    var fdb = DeltaTracker<FDBKey, IPAddress>()
    var fouPorts = DeltaTracker<FOUPortKey, FOUPortValue>()
    /// New interfaces that wait to take the place of one of another kind, by the name they should have: their indices.
    var standbys: [InterfaceName: Int32] = [:]
    /// Wanted interfaces that somebody gave another name, by the name they should have: their indices.
    var renamed: [InterfaceName: Int32] = [:]
    /// Interfaces that wanted routes lead through; some may have gone out of use since the whole was last set.
    private(set) var routeInterfaces: Set<InterfaceName> = []
    /// Weft's nexthop objects in the kernel, with their ids.
    var nexthops: [NexthopKey: UInt32] = [:]
    /// Routes that are wanted where somebody else's is; theirs stays.
    var conflicts: [RouteKey: String] = [:]
    /// Routes of Weft's beside the one that counts, of the same destination and metric: somebody appended them.
    var surplus: [RouteKey: [Route]] = [:]
    /// What Weft removed since the kernel was last read: a late notification that it is there is an echo of the time
    /// before.
    var departed: Set<ObjectKey> = []

    /// This host's own interfaces and addresses are as they should be, whatever its peers' objects are.
    var isHostSettled: Bool {
        links.pending.isEmpty && addresses.pending.isEmpty && blackholes.pending.isEmpty && fouPorts.pending.isEmpty
    }

    /// What differs, somebody else's routes where ours should be left out.
    var pendingObjects: Set<ObjectKey> {
        var objects: Set<ObjectKey> = []
        objects.formUnion(fouPorts.pending.map(ObjectKey.fouPort))
        objects.formUnion(links.pending.map(ObjectKey.link))
        objects.formUnion(addresses.pending.map(ObjectKey.address))
        objects.formUnion(routes.pending.lazy.filter { conflicts[$0] == nil }.map(ObjectKey.route))
        objects.formUnion(surplus.keys.map(ObjectKey.route))
        objects.formUnion(blackholes.pending.map(ObjectKey.blackhole))
        objects.formUnion(neighbours.pending.map(ObjectKey.neighbour))
        objects.formUnion(fdb.pending.map(ObjectKey.fdb))
        return objects
    }

    var isSettled: Bool {
        isHostSettled && surplus.isEmpty && neighbours.pending.isEmpty && fdb.pending.isEmpty
            && routes.pending.allSatisfy { conflicts[$0] != nil }
    }

    /// Whether a route with this key is wanted, or one that gives way to it, and that it so cuts off.
    func needs(_ key: RouteKey) -> Bool {
        routes.desired(key) != nil || key.yielding.map { routes.desired($0) != nil } ?? false
    }

    mutating func replaceDesired(_ state: DesiredState) {
        fouPorts.replaceDesired(state.fouPorts.mapValues { .known($0) })
        links.replaceDesired(state.links.mapValues { .known($0, isUp: true) })
        addresses.replaceDesired(Dictionary(uniqueKeysWithValues: state.addresses.map { ($0, Presence()) }))
        routes.replaceDesired(state.routes.mapValues { RouteValue(spec: $0, isMarked: true) })
        routeInterfaces = Set(state.routes.values.lazy.map(\.interface))
        let blackholes = state.blackholes.map { (RouteKey.blackhole($0), BlackholeValue(isMarked: true)) }
        self.blackholes.replaceDesired(Dictionary(uniqueKeysWithValues: blackholes))
        neighbours.replaceDesired(state.neighbours)
        fdb.replaceDesired(state.fdb)
    }

    mutating func apply(_ change: DesiredChange) {
        let removed = change.removed
        for key in removed.fouPorts.keys { fouPorts.setDesired(nil, for: key) }
        for name in removed.links.keys { links.setDesired(nil, for: name) }
        for key in removed.addresses { addresses.setDesired(nil, for: key) }
        for key in removed.routes.keys { routes.setDesired(nil, for: key) }
        for block in removed.blackholes { blackholes.setDesired(nil, for: .blackhole(block)) }
        for key in removed.neighbours.keys { neighbours.setDesired(nil, for: key) }
        for key in removed.fdb.keys { fdb.setDesired(nil, for: key) }
        let added = change.added
        for (key, spec) in added.fouPorts { fouPorts.setDesired(.known(spec), for: key) }
        for (name, spec) in added.links { links.setDesired(.known(spec, isUp: true), for: name) }
        for key in added.addresses { addresses.setDesired(Presence(), for: key) }
        for (key, spec) in added.routes {
            routes.setDesired(RouteValue(spec: spec, isMarked: true), for: key)
            routeInterfaces.insert(spec.interface)
        }
        for block in added.blackholes {
            blackholes.setDesired(BlackholeValue(isMarked: true), for: .blackhole(block))
        }
        for (key, mac) in added.neighbours { neighbours.setDesired(mac, for: key) }
        for (key, destination) in added.fdb { fdb.setDesired(destination, for: key) }
    }

    /// Notes that a request about the object was done.
    mutating func noteDone(_ object: ObjectKey, _ effect: Effect) {
        if effect == .clears { departed.insert(object) }
        switch (object, effect) {
        case (_, .none): break
        case (.link(let name), .sets): links.noteDone(name)
        case (.link(let name), .clears): links.setObserved(nil, for: name)
        case (.address(let key), .sets): addresses.noteDone(key)
        case (.address(let key), .clears): addresses.setObserved(nil, for: key)
        case (.route(let key), .sets): routes.noteDone(key)
        case (.route(let key), .clears): routes.setObserved(nil, for: key)
        case (.blackhole(let key), .sets): blackholes.noteDone(key)
        case (.blackhole(let key), .clears): blackholes.setObserved(nil, for: key)
        case (.neighbour(let key), .sets): neighbours.noteDone(key)
        case (.neighbour(let key), .clears): neighbours.setObserved(nil, for: key)
        case (.fdb(let key), .sets): fdb.noteDone(key)
        case (.fdb(let key), .clears): fdb.setObserved(nil, for: key)
        case (.fouPort(let key), .sets): fouPorts.noteDone(key)
        case (.fouPort(let key), .clears): fouPorts.setObserved(nil, for: key)
        case (.route(let key), .trims): surplus[key] = nil
        case (_, .trims), (.nexthop, .sets): break
        case (.nexthop(let key), .clears): nexthops[key] = nil
        }
    }

    /// Whether the FOU port that the link's packets come in by is there: without, a userspace plane that has the port
    /// keeps its device.
    func hasPorts(_ name: InterfaceName) -> Bool {
        guard case .known(let spec, _)? = links.desired(name), case .fouTunnel(let tunnel) = spec.kind else {
            return true
        }
        return !fouPorts.isPending(FOUPortKey(isIPv6: tunnel.local.isIPv6, port: tunnel.port))
    }

    /// Whether the interfaces that a request about the object needs are there.
    func canTry(_ object: ObjectKey, _ table: InterfaceTable) -> Bool {
        switch object {
        case .link(let name):
            guard case .known(let spec, _)? = links.desired(name), let lower = spec.kind.lower else { return true }
            return table.indices[lower] != nil
        case .address(let key): return table.indices[key.interface] != nil
        case .neighbour(let key): return table.indices[key.interface] != nil
        case .fdb(let key): return table.indices[key.interface] != nil
        case .route(let key): return routes.desired(key).map { table.isUp($0.spec.interface) } ?? true
        case .blackhole, .fouPort: return true
        case .nexthop(let key): return table.indices[key.interface] != nil
        }
    }

    enum Effect {
        /// Something else than the object was made, on the way to it.
        case none
        /// The object is as desired now.
        case sets
        /// The object is gone.
        case clears
        /// What stands beside the object is gone.
        case trims
    }
}

extension LinkSpec {
    /// The name under which the interface is made while one of another kind has its own; `nil` where it takes its place
    /// at once.
    var standbyName: InterfaceName? {
        switch kind {
        case .vxlan: nil
        case .tun, .fouTunnel: name.standby
        }
    }
}

extension LinkValue {
    var isTun: Bool {
        if case .known(let spec, _) = self { spec.kind == .tun } else { false }
    }

    var standbyName: InterfaceName? {
        if case .known(let spec, _) = self { spec.standbyName } else { nil }
    }
}

extension InterfaceName {
    /// `nil` where the name has no room for it.
    var standby: InterfaceName? { InterfaceName("\(text).new") }
}
