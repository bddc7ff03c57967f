import IPNetwork

/// The way that packets of a route take.
public enum RoutePath: Hashable, Sendable {
    /// No way: a blackhole and its like.
    case none
    case single(NextHop)
    /// Several, shared by weight.
    case multipath([NextHop])
    /// A nexthop object by its id. `resolved` is what the kernel adds when `net.ipv4.nexthop_compat_mode` is on and
    /// the object is no group; it is ignored in requests.
    case nexthopObject(id: UInt32, resolved: NextHop?)

    /// The single next hop, also one that a nexthop object resolved to.
    public var nextHop: NextHop? {
        switch self {
        case .single(let nextHop): nextHop
        case .nexthopObject(_, let resolved): resolved
        case .none, .multipath: nil
        }
    }
}

/// A route (`RTM_NEWROUTE`).
public struct Route: Hashable, Sendable {
    /// Where packets go that take the route.
    public var destination: IPPrefix
    /// Where packets come from that take the route (IPv6 with subtrees); `nil` for anywhere.
    public var source: IPPrefix?
    /// The routing table, 1 and up: 254 is main, 255 local.
    public var table: UInt32
    /// Who made it.
    public var proto: RouteProtocol
    /// Always ``RouteScope/universe`` for IPv6.
    public var scope: RouteScope
    /// What happens to packets.
    public var type: RouteType
    /// The type-of-service field that the route is limited to; 0 for all.
    public var tos: UInt8
    /// The preference, lower first. `nil` is 0 for IPv4 and lets the kernel choose 1024 for IPv6, which always
    /// reports it.
    public var metric: UInt32?
    /// The source address of packets that this host sends on the route.
    public var preferredSource: IPAddress?
    /// Where packets go.
    public var path: RoutePath
    /// MTU and the like; empty for most.
    public var metrics: RouteMetrics
    /// What the kernel says about the route (`RTM_F_*`); ignored in requests.
    public var flags: Flags
    /// RFC 4191's router preference, IPv6 only: 0 medium, 1 high, 3 low.
    public var preference: UInt8?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// Table 254 is the kernel's main table.
    public static let mainTable: UInt32 = 254
    /// Table 255 holds the host's own addresses.
    public static let localTable: UInt32 = 255

    /// - Parameter scope: `nil` for what iproute2 would choose: host for a local route, link for an IPv4 unicast
    ///   route without gateway, universe otherwise.
    public init(
        destination: IPPrefix, source: IPPrefix? = nil, table: UInt32 = Route.mainTable, proto: RouteProtocol = .boot,
        scope: RouteScope? = nil, type: RouteType = .unicast, tos: UInt8 = 0, metric: UInt32? = nil,
        preferredSource: IPAddress? = nil, path: RoutePath, metrics: RouteMetrics = RouteMetrics(),
        flags: Flags = [], preference: UInt8? = nil, otherAttributes: [Attribute] = []
    ) {
        self.destination = destination
        self.source = source
        self.table = table
        self.proto = proto
        self.scope = scope ?? Self.usualScope(destination: destination, type: type, path: path)
        self.type = type
        self.tos = tos
        self.metric = metric
        self.preferredSource = preferredSource
        self.path = path
        self.metrics = metrics
        self.flags = flags
        self.preference = preference
        self.otherAttributes = otherAttributes
    }

    private static func usualScope(destination: IPPrefix, type: RouteType, path: RoutePath) -> RouteScope {
        guard destination.family == .v4 else { return .universe }
        switch type {
        case .local: return .host
        case .broadcast, .multicast, .anycast: return .link
        case .unicast:
            switch path {
            case .single(let nextHop): return nextHop.gateway == nil ? .link : .universe
            case .none, .multipath, .nexthopObject: return .universe
            }
        default: return .universe
        }
    }

    /// `RTM_F_*`.
    public struct Flags: OptionSet, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt32
        /// Bits without a name here are kept.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// An exception that the kernel learnt (a path MTU, a redirect), no route of the table.
        public static let cloned = Flags(rawValue: 0x200)
        /// Made for an IPv6 prefix.
        public static let prefix = Flags(rawValue: 0x800)
        /// Held by hardware.
        public static let offload = Flags(rawValue: 0x4000)
        /// Hardware hands the packets to the kernel.
        public static let trap = Flags(rawValue: 0x8000)
        /// Hardware could not take it.
        public static let offloadFailed = Flags(rawValue: 0x2000_0000)
    }
}

extension Route: CustomStringConvertible {
    /// As iproute2 writes it, with the interface's index: `10.5.34.0/24 via 10.5.34.0 dev 7 onlink proto 84`.
    public var description: String {
        var words: [String] = type == .unicast ? [] : ["\(type)"]
        words.append("\(destination)")
        if let source { words.append("from \(source)") }
        switch path {
        case .none: break
        case .single(let nextHop): words.append("\(nextHop)")
        case .multipath(let nextHops): words += nextHops.map { "nexthop \($0)" }
        case .nexthopObject(let id, _): words.append("nhid \(id)")
        }
        if table != Self.mainTable { words.append("table \(table)") }
        words.append("proto \(proto)")
        if let metric { words.append("metric \(metric)") }
        return words.joined(separator: " ")
    }
}

/// Which routes a dump gives; `nil` is any. The kernel does the filtering where it can (strict checking).
public struct RouteFilter: Hashable, Sendable {
    /// IPv4 or IPv6.
    public var family: AddressFamily?
    /// 254 is main, 255 local.
    public var table: UInt32?
    /// Who made the route.
    public var proto: RouteProtocol?
    /// The index of the interface of the route's next hop.
    public var interface: Int32?
    /// What happens to packets.
    public var type: RouteType?

    /// All fields as given; with none, all routes match.
    public init(
        family: AddressFamily? = nil, table: UInt32? = nil, proto: RouteProtocol? = nil, interface: Int32? = nil,
        type: RouteType? = nil
    ) {
        self.family = family
        self.table = table
        self.proto = proto
        self.interface = interface
        self.type = type
    }

    /// Every route of both families and all tables.
    public static let all = RouteFilter()

    /// Whether the route passes the filter. For a multipath route one next hop on the interface is enough.
    public func matches(_ route: Route) -> Bool {
        if let family, route.destination.family != family { return false }
        if let table, route.table != table { return false }
        if let proto, route.proto != proto { return false }
        if let type, route.type != type { return false }
        guard let interface else { return true }
        switch route.path {
        case .none: return false
        case .single(let nextHop): return nextHop.interface == interface
        case .multipath(let nextHops): return nextHops.contains { $0.interface == interface }
        case .nexthopObject(_, let resolved): return resolved?.interface == interface
        }
    }
}
