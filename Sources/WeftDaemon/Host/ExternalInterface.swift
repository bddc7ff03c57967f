import Backends
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

    /// All fields as given.
    public init(links: [Link], addresses: [Address], defaultRoutes: [Route]) {
        self.links = links
        self.addresses = addresses
        self.defaultRoutes = defaultRoutes
    }

    /// Reads a table after the other; `withRoutes` says whether the default routes are needed.
    ///
    /// - Throws: ``NetlinkError`` when a table cannot be read.
    public init(reading kernel: any RouteNetlink, withRoutes: Bool = true) throws(NetlinkError) {
        links = try kernel.links()
        addresses = try kernel.addresses()
        let routes = withRoutes ? try kernel.routes(RouteFilter(table: Route.mainTable)) : []
        defaultRoutes = routes.filter { $0.destination.length == 0 }
    }
}

/// The interface that reaches the other hosts, chosen as flannel chooses it.
public struct ExternalInterface: Hashable, Sendable {
    /// What a backend needs to know of it.
    public var facts: HostFacts
    /// Why it was this one, in words for the log.
    public var reason: String
}

/// No interface can be used.
public struct InterfaceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was looked for and what there is, on one line.
    public let description: String
    /// The text is shown as it is.
    public init(_ description: String) { self.description = description }
}

extension ExternalInterface {
    /// The first of `--iface` that exists, else the first that `--iface-regex` matches, else the default route's.
    ///
    /// - Throws: ``InterfaceError`` naming what was looked for and what there is.
    public static func choose(
        _ configuration: DaemonConfiguration, from inventory: HostInventory
    ) throws(InterfaceError) -> ExternalInterface {
        for wanted in configuration.interfaces {
            if let (link, address) = find(wanted, in: inventory) {
                return try make(link, address, "--iface=\(wanted)", configuration, inventory)
            }
        }
        for expression in configuration.interfaceExpressions {
            if let (link, address) = match(expression, in: inventory) {
                return try make(link, address, "--iface-regex=\(expression)", configuration, inventory)
            }
        }
        guard configuration.interfaces.isEmpty, configuration.interfaceExpressions.isEmpty else {
            let wanted = (configuration.interfaces + configuration.interfaceExpressions).joined(separator: ", ")
            let names = inventory.links.map(\.name.text).joined(separator: ", ")
            throw InterfaceError("no interface matches \(wanted); there are: \(names)")
        }
        let route = inventory.defaultRoutes.filter { interface(of: $0) != nil }
            .min { ($0.destination.isIPv6 ? 1 : 0, $0.metric ?? 0) < ($1.destination.isIPv6 ? 1 : 0, $1.metric ?? 0) }
        guard let index = route.flatMap(interface), let link = inventory.links.first(where: { $0.index == index })
        else {
            throw InterfaceError("there is no default route to tell the interface from; name it with --iface")
        }
        return try make(link, nil, "it has the default route", configuration, inventory)
    }

    /// The interface in use as it is now. Its address stays the same as long as the interface holds it, whatever others
    /// come (a virtual address of a cluster), and is replaced when it is gone and there is another.
    ///
    /// - Returns: the facts, and whether something is away: the interface, or every address of a family that it had. What
    ///   is away is kept in the facts, since it may come back.
    public static func refresh(
        _ current: HostFacts, _ configuration: DaemonConfiguration, from inventory: HostInventory
    ) -> (facts: HostFacts, isWhole: Bool) {
        guard let link = inventory.links.first(where: { $0.name == current.interface }), link.mtu > 0 else {
            return (current, false)
        }
        let held = inventory.addresses.filter { $0.interface == link.index && isUsable($0) }
        func kept<Address: Equatable>(_ old: Address?, _ all: [Address]) -> (Address?, Bool) {
            guard let old else { return (all.first, true) }
            return all.contains(old) ? (old, true) : (all.first ?? old, !all.isEmpty)
        }
        let (ipv4, hasIPv4) = kept(current.localIPv4, held.compactMap(\.address.v4))
        let (ipv6, hasIPv6) = kept(current.localIPv6, held.compactMap(\.address.v6))
        var facts = current
        facts.mtu = link.mtu
        facts.localIPv4 = ipv4
        facts.localIPv6 = ipv6
        facts.publicIPv4 = configuration.publicIP ?? ipv4
        facts.publicIPv6 = ipv6
        let prefixes = held.compactMap(\.prefix).filter { $0.length > 0 }.sorted()
        if !prefixes.isEmpty { facts.linkPrefixes = prefixes }
        return (facts, hasIPv4 && hasIPv6)
    }

    private static func interface(of route: Route) -> Int32? {
        if case .multipath(let hops) = route.path { return hops.first?.interface }
        return route.path.nextHop?.interface
    }

    /// By address or by name.
    private static func find(_ wanted: String, in inventory: HostInventory) -> (Link, IPAddress?)? {
        if let address = IPAddress(wanted) {
            guard
                let held = inventory.addresses.first(where: { $0.address == address }),
                let link = inventory.links.first(where: { $0.index == held.interface })
            else { return nil }
            return (link, address)
        }
        return inventory.links.first { $0.name.text == wanted }.map { ($0, nil) }
    }

    /// By an address that the expression matches, else by name, as flannel does.
    private static func match(_ expression: String, in inventory: HostInventory) -> (Link, IPAddress?)? {
        guard let regex = try? Regex(expression) else { return nil }
        for link in inventory.links {
            for held in inventory.addresses where held.interface == link.index && isUsable(held) {
                if "\(held.address)".firstMatch(of: regex) != nil { return (link, held.address) }
            }
        }
        return inventory.links.first { $0.name.text.firstMatch(of: regex) != nil }.map { ($0, nil) }
    }

    private static func make(
        _ link: Link, _ chosen: IPAddress?, _ reason: String, _ configuration: DaemonConfiguration,
        _ inventory: HostInventory
    ) throws(InterfaceError) -> ExternalInterface {
        let held = inventory.addresses.filter { $0.interface == link.index && isUsable($0) }
        let ipv4 = chosen?.v4 ?? held.lazy.compactMap(\.address.v4).first
        let ipv6 = chosen?.v6 ?? held.lazy.compactMap(\.address.v6).first
        guard ipv4 != nil || ipv6 != nil else {
            throw InterfaceError("interface \(link.name) has no address that other hosts could reach")
        }
        guard link.mtu > 0 else { throw InterfaceError("interface \(link.name) has MTU 0") }
        let facts = HostFacts(
            interface: link.name, mtu: link.mtu, localIPv4: ipv4, localIPv6: ipv6,
            publicIPv4: configuration.publicIP ?? ipv4, publicIPv6: ipv6,
            linkPrefixes: held.compactMap(\.prefix).filter { $0.length > 0 }.sorted())
        return ExternalInterface(facts: facts, reason: reason)
    }

    /// Addresses that stay: neither link-local nor on their way in or out.
    private static func isUsable(_ address: Address) -> Bool {
        let passing: AddressFlags = [.temporary, .deprecated, .tentative, .duplicate]
        switch address.address {
        // For IPv4 the bit of `temporary` says "secondary", which does no harm.
        case .v4(let v4): return v4.isUsableHostAddress
        case .v6(let v6): return v6.isUsableHostAddress && address.flags.isDisjoint(with: passing)
        }
    }
}
