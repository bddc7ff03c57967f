import IPNetwork

/// One change of the kernel's network state, in the form of a message of a batch.
public enum RouteRequest: Hashable, Sendable {
    /// EEXIST when the name is taken.
    indirect case createLink(NewLink)
    indirect case changeLink(LinkChange)
    case deleteLink(index: Int32)

    /// EEXIST when the interface holds the address.
    case addAddress(Address)
    case replaceAddress(Address)
    case deleteAddress(Address)

    /// EEXIST when the table holds a route with the same destination, type of service and metric.
    case addRoute(Route)
    /// Puts the route in the place of the first with the same destination, type of service and metric.
    case replaceRoute(Route)
    /// Beside others with the same key.
    case appendRoute(Route)
    /// ESRCH when there is no such route.
    case deleteRoute(Route)

    case replaceNeighbour(Neighbour)
    /// ENOENT when there is no such neighbour.
    case deleteNeighbour(Neighbour)

    /// Puts the entry in the place of all with the same MAC on the interface.
    case replaceForwardingEntry(ForwardingEntry)
    /// Adds one more destination for the MAC.
    case appendForwardingEntry(ForwardingEntry)
    /// ENOENT when there is no such entry.
    case deleteForwardingEntry(ForwardingEntry)

    case replaceNexthop(NexthopObject)
    /// Takes the routes that use the object along.
    case deleteNexthop(id: UInt32)

    /// EEXIST when there is the same rule.
    case addRule(Rule)
    /// ENOENT when there is no such rule.
    case deleteRule(Rule)
}

extension RouteRequest: CustomStringConvertible {
    /// What is to be done to which object: `replace route 10.5.34.0/24 via 10.5.34.0 dev 7 onlink proto boot`.
    public var description: String {
        switch self {
        case .createLink(let link): "create \(link.kind.name) link \(link.name)"
        case .changeLink(let change): "change link \(change.index)\(change.name.map { " (\($0))" } ?? "")"
        case .deleteLink(let index): "delete link \(index)"
        case .addAddress(let address): "add address \(address)"
        case .replaceAddress(let address): "replace address \(address)"
        case .deleteAddress(let address): "delete address \(address)"
        case .addRoute(let route): "add route \(route)"
        case .replaceRoute(let route): "replace route \(route)"
        case .appendRoute(let route): "append route \(route)"
        case .deleteRoute(let route): "delete route \(route)"
        case .replaceNeighbour(let neighbour): "replace neighbour \(neighbour)"
        case .deleteNeighbour(let neighbour): "delete neighbour \(neighbour)"
        case .replaceForwardingEntry(let entry): "replace forwarding entry \(entry)"
        case .appendForwardingEntry(let entry): "append forwarding entry \(entry)"
        case .deleteForwardingEntry(let entry): "delete forwarding entry \(entry)"
        case .replaceNexthop(let nexthop): "replace nexthop \(nexthop)"
        case .deleteNexthop(let id): "delete nexthop id \(id)"
        case .addRule(let rule): "add rule \(rule)"
        case .deleteRule(let rule): "delete rule \(rule)"
        }
    }
}
