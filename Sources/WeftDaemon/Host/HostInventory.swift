import IPNetwork
import LinuxSystem
import Netlink

/// What the kernel says of the host's interfaces, as far as choosing one needs it.
public struct HostInventory: Sendable {
    /// All interfaces of the host.
    public var links: [Link]
    /// Of both families.
    public var addresses: [Address]
    /// The main table's default routes; not read where they are not asked for.
    public var defaultRoutes: [Route]
    /// The route to the address of `--iface-can-reach`, if there is one.
    public var routeToReach: Route?

    /// All fields as given.
    public init(links: [Link], addresses: [Address], defaultRoutes: [Route], routeToReach: Route? = nil) {
        self.links = links
        self.addresses = addresses
        self.defaultRoutes = defaultRoutes
        self.routeToReach = routeToReach
    }

    /// Reads a table after the other.
    ///
    /// - Parameters:
    ///   - withRoutes: whether the default routes are needed.
    ///   - reaching: an address whose route is needed.
    /// - Throws: ``NetlinkError`` when a table cannot be read.
    public init(
        reading kernel: any RouteNetlink, withRoutes: Bool = true, reaching: IPAddress? = nil
    ) throws(NetlinkError) {
        links = try kernel.links()
        addresses = try kernel.addresses()
        let routes = withRoutes ? try kernel.routes(RouteFilter(table: Route.mainTable)) : []
        defaultRoutes = routes.filter { $0.destination.length == 0 && $0.type == .unicast }
        if let reaching { routeToReach = try kernel.route(to: reaching) }
    }

    func link(_ index: Int32) -> Link? { links.first { $0.index == index } }

    /// The addresses of an interface that other hosts can send to and that stay, the best first. With equals the kernel's
    /// order counts, as in flannel: IPv4 the oldest first, IPv6 the newest.
    func usableAddresses(of link: Link) -> [Address] {
        addresses.filter { $0.interface == link.index && $0.isUsable }.enumerated()
            .sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }.map(\.element)
    }
}

extension Address {
    /// Neither link-local nor on its way in or out.
    var isUsable: Bool { isReachable && isSettled && !flags.contains(.deprecated) && !isTemporary }

    /// Of a kind that other hosts can send to.
    var isReachable: Bool {
        switch address {
        case .v4(let v4): v4.isUsableHostAddress
        case .v6(let v6): v6.isUsableHostAddress
        }
    }

    /// No other host has it, as far as duplicate address detection knows.
    var isSettled: Bool { flags.isDisjoint(with: [.tentative, .duplicate]) }

    /// For IPv4 the bit says "secondary".
    private var isTemporary: Bool { address.isIPv6 && flags.contains(.temporary) }

    /// Without a neighbourhood: most likely a service's that moves between hosts, unless the interface has no other.
    var isAlone: Bool { prefixLength == address.family.bitWidth && peer == nil }

    /// Lower is better. What an operator set comes before what a server gave for a time.
    fileprivate var rank: Int {
        let isSecondary = !address.isIPv6 && flags.contains(.temporary)
        return (isSecondary ? 4 : 0) + (isAlone ? 2 : 0) + (flags.contains(.permanent) ? 0 : 1)
    }
}
