import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// The network of the host or of a container, changed one request at a time.
struct NamespaceNetwork: Sendable {
    /// What it is, for errors: `the host`, `the container`.
    let place: String
    private let namespace: NetworkNamespace?
    private let socket: NetlinkRouteSocket

    /// - Parameter namespace: `nil` for the caller's.
    init(_ place: String, namespace: NetworkNamespace?) throws(AttachError) {
        self.place = place
        self.namespace = namespace
        do {
            socket = try NetlinkRouteSocket(namespace: namespace)
        } catch {
            throw AttachError("\(place): \(error)")
        }
    }

    func links() throws(AttachError) -> [Link] {
        do {
            return try socket.links()
        } catch {
            throw AttachError("\(place): \(error)")
        }
    }

    func link(_ name: InterfaceName) throws(AttachError) -> Link? { try links().first { $0.name == name } }

    /// - Throws: ``AttachError`` when it is not there.
    func existing(_ name: InterfaceName) throws(AttachError) -> Link {
        guard let link = try link(name) else { throw AttachError("\(place) has no interface \(name)") }
        return link
    }

    func addresses(of index: Int32) throws(AttachError) -> [Address] {
        do {
            return try socket.addresses(interface: index)
        } catch {
            throw AttachError("\(place): \(error)")
        }
    }

    func routes(_ filter: RouteFilter) throws(AttachError) -> [Route] {
        do {
            return try socket.routes(filter)
        } catch {
            throw AttachError("\(place): \(error)")
        }
    }

    /// - Parameter tolerated: error numbers that mean it is done already.
    func apply(_ request: RouteRequest, tolerating tolerated: Set<CInt> = []) throws(AttachError) {
        let failures: [RequestFailure]
        do {
            failures = try socket.execute([request])
        } catch {
            throw AttachError("\(place): \(error)")
        }
        guard let failure = failures.first, !tolerated.contains(failure.code) else { return }
        throw AttachError("\(place): \(failure)")
    }

    func change(_ name: InterfaceName, _ change: (inout LinkChange) -> Void) throws(AttachError) {
        var request = LinkChange(index: try existing(name).index)
        change(&request)
        try apply(.changeLink(request))
    }

    /// A setting below `net`, where the kernel has it.
    func set(_ key: String, _ value: String) {
        if let namespace {
            try? namespace.run { try Sysctl.write("net/\(key)", value) }
        } else {
            try? Sysctl.write("net/\(key)", value)
        }
    }
}

/// A route by names, so that it can be put back.
struct SavedRoute: Hashable, Codable, Sendable {
    var destination: IPPrefix
    var gateway: IPAddress?
    var isOnLink: Bool
    var interface: InterfaceName
    var table: UInt32
    var proto: UInt8
    var scope: UInt8
    var metric: UInt32?
    var source: IPAddress?

    /// `nil` for one with several next hops or none, which are never taken away.
    init?(_ route: Route, names: [Int32: InterfaceName]) {
        guard case .single(let hop) = route.path, let index = hop.interface, let name = names[index] else { return nil }
        destination = route.destination
        gateway = hop.gateway
        isOnLink = hop.onlink
        interface = name
        table = route.table
        proto = route.proto.rawValue
        scope = route.scope.rawValue
        metric = route.metric
        source = route.preferredSource
    }

    /// `nil` when the interface is gone.
    func route(names: [Int32: InterfaceName]) -> Route? {
        guard let index = names.first(where: { $0.value == interface })?.key else { return nil }
        return Route(
            destination: destination, table: table, proto: RouteProtocol(rawValue: proto),
            scope: RouteScope(rawValue: scope), metric: metric, preferredSource: source,
            path: .single(NextHop(gateway: gateway, interface: index, onlink: isOnLink)))
    }
}

extension [SavedRoute] {
    /// The kernel refuses a gateway that no route leads to yet.
    var inOrderOfNeed: [SavedRoute] { filter { $0.gateway == nil } + filter { $0.gateway != nil } }
}

/// An address that an interface loses on its way into a container.
struct SavedAddress: Hashable, Codable, Sendable {
    var address: IPAddress
    var prefixLength: Int
    var broadcast: IPv4Address?

    /// `nil` for one that the kernel makes itself or that expires.
    init?(_ address: Address) {
        guard address.flags.contains(.permanent), address.scope == .universe else { return nil }
        self.address = address.address
        prefixLength = address.prefixLength
        broadcast = address.broadcast
    }

    func address(on interface: Int32) -> Address {
        Address(interface: interface, address: address, prefixLength: prefixLength, broadcast: broadcast)
    }
}
