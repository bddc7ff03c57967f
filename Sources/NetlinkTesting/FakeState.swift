import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// Why a request is refused: the error number, and the words that Linux has for it.
struct Refusal: Error {
    var code: CInt
    var message: String?

    init(_ code: CInt, _ message: String? = nil) {
        self.code = code
        self.message = message
    }
}

/// The tables of a ``FakeKernel``, with the events that tell of their changes.
struct FakeState {
    /// What tells routes of one table apart (for IPv6 a metric of 0 is 1024).
    struct RouteKey: Hashable, Comparable {
        var table: UInt32
        var destination: IPPrefix
        var tos: UInt8
        var metric: UInt32

        init(_ route: Route) {
            table = route.table
            destination = route.destination
            tos = route.tos
            metric = route.metric ?? 0
            if route.destination.isIPv6, metric == 0, route.type != .local { metric = 1024 }
        }

        static func < (lhs: Self, rhs: Self) -> Bool {
            (lhs.table, lhs.destination, lhs.tos, lhs.metric) < (rhs.table, rhs.destination, rhs.tos, rhs.metric)
        }
    }

    struct NeighbourKey: Hashable {
        var interface: Int32
        var address: IPAddress
    }

    struct ForwardingKey: Hashable, Comparable {
        var interface: Int32
        var mac: MACAddress
        var vlan: UInt16?

        static func < (lhs: Self, rhs: Self) -> Bool {
            (lhs.interface, lhs.mac, lhs.vlan ?? 0) < (rhs.interface, rhs.mac, rhs.vlan ?? 0)
        }
    }

    var links: [Int32: Link] = [:]
    var addresses: [Address] = []
    var routes: [RouteKey: [Route]] = [:]
    var rules: [Rule] = []
    var neighbours: [NeighbourKey: Neighbour] = [:]
    var forwardingEntries: [ForwardingKey: [ForwardingEntry]] = [:]
    var nexthops: [UInt32: NexthopObject] = [:]
    var events: [NetlinkEvent] = []
    var nextIndex: Int32 = 2

    static let loopback = FakeKernel.loopback

    init() {
        if let name = InterfaceName("lo") {
            links[Self.loopback] = Link(
                index: Self.loopback, name: name, type: 772, flags: [.up, .running, .loopback, .lowerUp], mtu: 65536,
                hardwareAddress: MACAddress(rawValue: 0))
        }
        for (family, priority, table) in [
            (AddressFamily.v4, UInt32(0), Route.localTable), (.v4, 32766, Route.mainTable), (.v4, 32767, 253),
            (.v6, 0, Route.localTable), (.v6, 32766, Route.mainTable),
        ] {
            rules.append(Rule(family: family, priority: priority, table: table, proto: .kernel))
        }
    }

    mutating func carryOut(_ request: RouteRequest) throws(Refusal) {
        switch request {
        case .createLink(let link): try create(link)
        case .changeLink(let change): try self.change(change)
        case .deleteLink(let index): try deleteLink(index)
        case .addAddress(let address): try add(address, replacing: false)
        case .replaceAddress(let address): try add(address, replacing: true)
        case .deleteAddress(let address): try delete(address)
        case .addRoute(let route): try insert(route, .add)
        case .replaceRoute(let route): try insert(route, .replace)
        case .appendRoute(let route): try insert(route, .append)
        case .deleteRoute(let route): try delete(route)
        case .replaceNeighbour(let neighbour): try replace(neighbour)
        case .deleteNeighbour(let neighbour): try delete(neighbour)
        case .replaceForwardingEntry(let entry): try insert(entry, appending: false)
        case .appendForwardingEntry(let entry): try insert(entry, appending: true)
        case .deleteForwardingEntry(let entry): try delete(entry)
        case .replaceNexthop(let nexthop): try replace(nexthop)
        case .deleteNexthop(let id): try deleteNexthop(id)
        case .addRule(let rule): try add(rule)
        case .deleteRule(let rule): try delete(rule)
        }
    }

    func existingLink(_ index: Int32) throws(Refusal) -> Link {
        guard let link = links[index] else { throw Refusal(ENODEV) }
        return link
    }

    // MARK: Rules

    private mutating func add(_ rule: Rule) throws(Refusal) {
        var rule = rule
        if rule.priority == nil {
            let family = rules.filter { $0.family == rule.family && $0.priority != 0 }
            rule.priority = (family.compactMap(\.priority).min() ?? 32766) - 1
        }
        guard !rules.contains(rule) else { throw Refusal(EEXIST) }
        rules.append(rule)
        rules.sort { ($0.family == .v6 ? 1 : 0, $0.priority ?? 0) < ($1.family == .v6 ? 1 : 0, $1.priority ?? 0) }
        events.append(.ruleChanged(rule))
    }

    private mutating func delete(_ rule: Rule) throws(Refusal) {
        let index = rules.firstIndex { candidate in
            candidate.family == rule.family && candidate.source == rule.source
                && candidate.destination == rule.destination && candidate.table == rule.table
                && candidate.action == rule.action && candidate.isInverted == rule.isInverted
                && (rule.priority == nil || candidate.priority == rule.priority)
                && (rule.mark == nil || candidate.mark == rule.mark)
                && (rule.proto == nil || candidate.proto == rule.proto)
        }
        guard let index else { throw Refusal(ENOENT) }
        events.append(.ruleRemoved(rules.remove(at: index)))
    }
}
