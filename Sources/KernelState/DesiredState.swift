import IPNetwork
import LinuxSystem

/// What a kernel should hold of Weft's, or a part of it; keyed as the kernel keys its objects.
public struct DesiredState: Hashable, Sendable {
    /// Weft's own interfaces.
    public var links: [InterfaceName: LinkSpec] = [:]
    /// Addresses on them.
    public var addresses: Set<AddressKey> = []
    /// Routes of the main table.
    public var routes: [RouteKey: RouteSpec] = [:]
    /// Blocks of the main table whose packets are dropped where no other route takes them, not even one for the same block.
    public var blackholes: Set<IPPrefix> = []
    /// Permanent neighbour entries: the MAC of each address.
    public var neighbours: [NeighbourKey: MACAddress] = [:]
    /// Permanent forwarding entries: the host that each MAC is behind.
    public var fdb: [FDBKey: IPAddress] = [:]
    /// UDP ports on which the kernel takes the UDP header off.
    public var fouPorts: [FOUPortKey: FOUPortSpec] = [:]
    /// Weft's own interfaces on which an IPv4 packet is dropped whose source is not reached by that interface.
    public var checkedInterfaces: Set<InterfaceName> = []
    /// The userspace tunnel, which is no kernel's: the reconciler has nothing to do with it.
    public var tunnel: TunnelSpec?
    /// Where the userspace tunnel sends packets for a peer's subnet.
    public var nextHops: [IPPrefix: IPAddress] = [:]

    /// Nothing desired.
    public init() {}

    /// Whether nothing is desired, of any kind.
    public var isEmpty: Bool {
        links.isEmpty && addresses.isEmpty && routes.isEmpty && blackholes.isEmpty && neighbours.isEmpty
            && fdb.isEmpty && fouPorts.isEmpty && checkedInterfaces.isEmpty && tunnel == nil && nextHops.isEmpty
    }

    /// Empties the state and keeps its room, for use as a scratch pad.
    public mutating func removeAll() {
        links.removeAll(keepingCapacity: true)
        addresses.removeAll(keepingCapacity: true)
        routes.removeAll(keepingCapacity: true)
        blackholes.removeAll(keepingCapacity: true)
        neighbours.removeAll(keepingCapacity: true)
        fdb.removeAll(keepingCapacity: true)
        fouPorts.removeAll(keepingCapacity: true)
        checkedInterfaces.removeAll(keepingCapacity: true)
        tunnel = nil
        nextHops.removeAll(keepingCapacity: true)
    }

    /// Adds what `other` holds; where both have a key, `other` wins.
    public mutating func merge(_ other: DesiredState) {
        for (name, spec) in other.links { links[name] = spec }
        for key in other.addresses { addresses.insert(key) }
        for (key, spec) in other.routes { routes[key] = spec }
        blackholes.formUnion(other.blackholes)
        for (key, mac) in other.neighbours { neighbours[key] = mac }
        for (key, destination) in other.fdb { fdb[key] = destination }
        for (key, spec) in other.fouPorts { fouPorts[key] = spec }
        checkedInterfaces.formUnion(other.checkedInterfaces)
        if let other = other.tunnel { tunnel = other }
        for (subnet, remote) in other.nextHops { nextHops[subnet] = remote }
    }

    /// Removes every key that `other` has.
    public mutating func removeKeys(of other: DesiredState) {
        for key in other.links.keys { links[key] = nil }
        addresses.subtract(other.addresses)
        for key in other.routes.keys { routes[key] = nil }
        blackholes.subtract(other.blackholes)
        for key in other.neighbours.keys { neighbours[key] = nil }
        for key in other.fdb.keys { fdb[key] = nil }
        for key in other.fouPorts.keys { fouPorts[key] = nil }
        checkedInterfaces.subtract(other.checkedInterfaces)
        if other.tunnel != nil { tunnel = nil }
        for subnet in other.nextHops.keys { nextHops[subnet] = nil }
    }
}

/// A step from one desired state to another: first the keys of `removed` go, then `added` is put.
public struct DesiredChange: Hashable, Sendable {
    /// What goes; only the keys count.
    public var removed: DesiredState
    /// What comes, and what replaces another value under the same key.
    public var added: DesiredState

    /// All fields as given; a key may be in both.
    public init(removed: DesiredState = DesiredState(), added: DesiredState = DesiredState()) {
        self.removed = removed
        self.added = added
    }

    /// Whether it changes nothing.
    public var isEmpty: Bool { removed.isEmpty && added.isEmpty }
}

extension DesiredState {
    /// Removes first, then adds: a key in both ends up added.
    public mutating func apply(_ change: DesiredChange) {
        removeKeys(of: change.removed)
        merge(change.added)
    }
}

extension RouteSpec: CustomStringConvertible {
    /// As `ip route` writes it.
    public var description: String {
        let via = gateway.map { "via \($0) " } ?? ""
        return "\(via)dev \(interface)\(onlink ? " onlink" : "")"
    }
}
