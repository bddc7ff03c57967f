import CLinux
import Glibc
import IPNetwork
import LinuxSystem
import Synchronization

/// The kernel's network state in one namespace, over a route netlink socket.
public final class NetlinkRouteSocket: RouteNetlink {
    private let socket: Mutex<NetlinkSocket>
    /// What the kernel writes on what this socket causes (`nlmsg_pid`).
    let port: UInt32?

    /// - Parameter namespace: `nil` for the calling thread's.
    /// - Throws: ``NetlinkError/system(_:)`` when the namespace or the socket cannot be opened.
    public init(namespace: NetworkNamespace? = nil) throws(NetlinkError) {
        let opened = try NetlinkSocket(protocol: NETLINK_ROUTE, namespace: namespace)
        port = opened.port
        socket = Mutex(opened)
    }

    /// All interfaces of the namespace, in one dump.
    public func links() throws(NetlinkError) -> [Link] {
        try dump(RTM_GETLINK, subject: "dump links") { writer in
            writer.append(ifinfomsg())
        } decode: { payload throws(MalformedMessage) in
            try Link(message: payload)
        }
    }

    /// Of both families; the interface is matched here, since older kernels ignore it.
    public func addresses(interface: Int32?) throws(NetlinkError) -> [Address] {
        try reading(of: interface) { () throws(NetlinkError) in
            try dump(RTM_GETADDR, subject: "dump addresses") { writer in
                var header = ifaddrmsg()
                header.ifa_index = UInt32(bitPattern: interface ?? 0)
                writer.append(header)
            } decode: { payload throws(MalformedMessage) in
                guard let address = try Address(message: payload) else { return nil }
                return interface == nil || address.interface == interface ? address : nil
            }
        }
    }

    /// A dump for each family asked for. Empty when the filter's interface does not exist.
    public func routes(_ filter: RouteFilter) throws(NetlinkError) -> [Route] {
        var routes: [Route] = []
        for family in AddressFamily.allCases where filter.family == nil || filter.family == family {
            let found = try reading(of: filter.interface) { () throws(NetlinkError) in
                try self.routes(filter, family: family)
            }
            // The usual case is one family with many routes: no copy of them then.
            if routes.isEmpty { routes = found } else { routes += found }
        }
        return routes
    }

    private func routes(_ filter: RouteFilter, family: AddressFamily) throws(NetlinkError) -> [Route] {
        do throws(NetlinkError) {
            return try dump(RTM_GETROUTE, subject: "dump routes") { writer in
                var header = rtmsg()
                header.rtm_family = family.number
                header.rtm_table = filter.table.flatMap { UInt8(exactly: $0) } ?? 0
                header.rtm_protocol = filter.proto?.rawValue ?? 0
                header.rtm_type = filter.type?.rawValue ?? 0
                writer.append(header)
                if let table = filter.table { writer.attribute(RTA_TABLE, table) }
                if let interface = filter.interface { writer.attribute(RTA_OIF, interface) }
            } decode: { payload throws(MalformedMessage) in
                guard
                    let route = try Route(message: payload), route.destination.family == family,
                    !route.flags.contains(.cloned), filter.matches(route)
                else { return nil }
                return route
            }
        } catch .refused(let refusal) where refusal.code == ENOENT && filter.table != nil {
            return []  // a table comes to be with its first route
        }
    }

    /// What is on an interface: nothing when it is gone, as kernels that don't look at it answer.
    private func reading<Element>(
        of interface: Int32?, _ dump: () throws(NetlinkError) -> [Element]
    ) throws(NetlinkError) -> [Element] {
        do throws(NetlinkError) {
            return try dump()
        } catch .refused(let refusal) where refusal.code == ENODEV && interface != nil {
            return []
        }
    }

    /// As `ip route get`, policy rules included.
    public func route(to address: IPAddress) throws(NetlinkError) -> Route? {
        var found: Route?
        var refusal: KernelRefusal?
        let subject = "look up the route to \(address)"
        try socket.withLock { socket throws(NetlinkError) in
            try socket.exchange(count: 1, subject: subject) { _, writer, sequence in
                writer.message(type: RTM_GETROUTE, flags: NLM_F_REQUEST, sequence: sequence) { writer in
                    var header = rtmsg()
                    header.rtm_family = address.family.number
                    header.rtm_dst_len = UInt8(address.family.bitWidth)
                    writer.append(header)
                    writer.attribute(RTA_DST, address)
                }
            } reply: { type, payload throws(MalformedMessage) in
                if Int(type) == RTM_NEWROUTE { found = try Route(message: payload) }
            } refused: { _, answer, _ in
                refusal = KernelRefusal(
                    code: answer.code, message: answer.message, offset: answer.offset, subject: subject)
            }
        }
        if let refusal {
            // No route, or one that says so.
            if [ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL].contains(refusal.code) { return nil }
            throw .refused(refusal)
        }
        return found
    }

    /// Of both families.
    public func rules() throws(NetlinkError) -> [Rule] {
        try dump(RTM_GETRULE, subject: "dump rules") { writer in
            writer.append(fib_rule_hdr())
        } decode: { payload throws(MalformedMessage) in
            try Rule(message: payload)
        }
    }

    /// Of both families; the interface is matched here too, since older kernels ignore it.
    public func neighbours(interface: Int32?) throws(NetlinkError) -> [Neighbour] {
        try reading(of: interface) { () throws(NetlinkError) in
            try dump(RTM_GETNEIGH, subject: "dump neighbours") { writer in
                writer.append(ndmsg())
                if let interface { writer.attribute(NDA_IFINDEX, interface) }
            } decode: { payload throws(MalformedMessage) in
                guard let neighbour = try Neighbour(message: payload) else { return nil }
                return interface == nil || neighbour.interface == interface ? neighbour : nil
            }
        }
    }

    /// Bridges' and VXLANs' entries; the interface is matched here too.
    public func forwardingEntries(interface: Int32?) throws(NetlinkError) -> [ForwardingEntry] {
        try reading(of: interface) { () throws(NetlinkError) in
            try dump(RTM_GETNEIGH, subject: "dump forwarding entries") { writer in
                var header = ndmsg()
                header.ndm_family = UInt8(AF_BRIDGE)
                header.ndm_ifindex = interface ?? 0
                writer.append(header)
            } decode: { payload throws(MalformedMessage) in
                guard let entry = try ForwardingEntry(message: payload) else { return nil }
                return interface == nil || entry.interface == interface ? entry : nil
            }
        }
    }

    /// Empty on kernels older than Linux 5.3, which have none.
    public func nexthops() throws(NetlinkError) -> [NexthopObject] {
        do throws(NetlinkError) {
            return try dump(RTM_GETNEXTHOP, subject: "dump nexthops") { writer in
                writer.append(nhmsg())
            } decode: { payload throws(MalformedMessage) in
                try NexthopObject(message: payload)
            }
        } catch .refused(let refusal) where refusal.code == EOPNOTSUPP {
            return []  // older than Linux 5.3
        }
    }

    /// One exchange for the whole batch: a refused request does not stop those behind it.
    public func execute(_ requests: [RouteRequest]) throws(NetlinkError) -> [RequestFailure] {
        var failures: [RequestFailure] = []
        try socket.withLock { socket throws(NetlinkError) in
            try socket.exchange(count: requests.count, subject: "batch of \(requests.count) requests") {
                position, writer, sequence in
                requests[position].encode(to: &writer, sequence: sequence)
            } refused: { position, answer, sequence in
                failures.append(
                    RequestFailure(
                        position: position, request: requests[position], code: answer.code, message: answer.message,
                        offset: answer.offset, sequence: sequence))
            }
        }
        // What did not fit into a message was refused before the kernel had a say.
        failures.sort { $0.position < $1.position }
        return failures
    }

    private func dump<Element: Sendable>(
        _ type: Int, subject: String, request: (inout MessageWriter) -> Void,
        decode: (RawSpan) throws(MalformedMessage) -> Element?
    ) throws(NetlinkError) -> [Element] {
        try socket.withLock { socket throws(NetlinkError) in
            try socket.dump(type, subject: subject, request: request) { _, payload throws(MalformedMessage) in
                try decode(payload)
            }
        }
    }
}
