import CLinux
import LinuxSystem

/// The changes of a namespace's network state, from the moment the monitor is made.
///
/// No change is lost unnoticed: where the kernel's buffer or the monitor's own overruns, or a message cannot be
/// understood, ``NetlinkEvent/resync`` comes in the place of what is missing, and the state must be read again. So:
/// make the monitor first, then read the state, then follow the changes.
///
/// For one consumer. The sequence ends when the task that waits for an event is cancelled, and, should the socket
/// fail, by itself; the socket is closed with the last copy of the monitor and its iterators.
public struct NetlinkMonitor: AsyncSequence, Sendable {
    /// What to listen to.
    public struct Groups: OptionSet, Hashable, Sendable {
        /// Bit n - 1 for the kernel's group n (`RTNLGRP_*`).
        public var rawValue: UInt64
        /// Any of the kernel's groups, also those without a name here.
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        private init(_ groups: rtnetlink_groups...) {
            rawValue = groups.reduce(0) { $0 | 1 << UInt64($1.rawValue - 1) }
        }

        /// Interfaces made, changed or gone.
        public static let links = Groups(RTNLGRP_LINK)
        /// Addresses, of both families.
        public static let addresses = Groups(RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)
        /// Routes, of both families.
        public static let routes = Groups(RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE)
        /// Rules, of both families.
        public static let rules = Groups(RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE)
        /// Neighbours and forwarding entries.
        public static let neighbours = Groups(RTNLGRP_NEIGH)
        /// Nexthop objects (Linux 5.3 and later).
        public static let nexthops = Groups(RTNLGRP_NEXTHOP)
        /// All of the above.
        public static let all: Groups = [.links, .addresses, .routes, .rules, .neighbours, .nexthops]

        var numbers: [UInt32] { (0..<64).filter { rawValue >> UInt64($0) & 1 == 1 }.map { UInt32($0 + 1) } }
    }

    private let subscription: Subscription<NetlinkEvent>

    /// - Parameters:
    ///   - namespace: `nil` for the calling thread's.
    ///   - limit: the number of events kept for a consumer that falls behind, before they collapse into a resync.
    ///   - receiveBuffer: the size of the socket's buffer in bytes.
    ///   - own: a socket whose own changes are of no interest. Most of them then never leave the kernel; it does not
    ///     say who changed a forwarding entry, so those still come.
    /// - Throws: ``NetlinkError/system(_:)`` when the namespace or the socket cannot be opened.
    public init(
        groups: Groups = .all, namespace: NetworkNamespace? = nil, limit: Int = 4096, receiveBuffer: Int = 4 << 20,
        ignoring own: NetlinkRouteSocket? = nil
    ) throws(NetlinkError) {
        subscription = try Subscription(
            protocol: NETLINK_ROUTE, groups: groups.numbers, namespace: namespace, limit: limit,
            receiveBuffer: receiveBuffer, ignoring: own?.port, overflow: .resync
        ) { header, payload throws(MalformedMessage) in
            try NetlinkEvent(type: header.nlmsg_type, message: payload)
        }
    }

    /// All iterators share one stream: use one.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: subscription) }

    /// Hands out events in the order in which the kernel sent them.
    public struct AsyncIterator: AsyncIteratorProtocol, Sendable {
        fileprivate let subscription: Subscription<NetlinkEvent>

        /// Waits for an event; `nil` at the end.
        public func next() async -> NetlinkEvent? { await subscription.next() }

        /// Waits for an event; `nil` at the end.
        public func next(isolation actor: isolated (any Actor)?) async -> NetlinkEvent? { await subscription.next() }
    }
}
