import Glibc
import IPNetwork
import LinuxSystem
import Netlink
import Synchronization

/// A kernel in memory, at the level of requests, that behaves as Linux where it matters to who manages interfaces,
/// routes and neighbours.
///
/// It starts with a loopback interface, index 1, that is up. Among what it does as Linux does: an interface's end or
/// its being set down takes routes, neighbours and nexthop objects along (IPv6 addresses as well), without a word
/// about the IPv4 routes; an address brings its local, broadcast and connected routes; a new hardware address empties
/// the neighbour table; what a VXLAN cannot change is refused. Of IPv6: link-local addresses and duplicate address
/// detection, which ends with ``finishDuplicateDetection(_:)``; routes of one destination that share their next hops; no
/// IPv6 where the MTU is below 1280; gateways that are refused as not on the link.
public final class FakeKernel: RouteNetlink {
    private struct Contents {
        var state = FakeState()
        var plan = FaultPlan.none
        var requestCount = 0
        var journal: [JournalEntry] = []
        var subscribers: [AsyncStream<NetlinkEvent>.Continuation] = []
    }

    /// A request that was made through ``execute(_:)``, and what came of it.
    public struct JournalEntry: Hashable, Sendable {
        /// As it was given.
        public var request: RouteRequest
        /// The error number; `nil` when it was carried out.
        public var code: CInt?
    }

    /// The index of the loopback interface.
    public static let loopback: Int32 = 1

    private let contents = Mutex(Contents())

    /// A kernel with the loopback interface and no faults.
    public init() {}

    // MARK: For tests

    /// What goes wrong from now on; setting it counts requests from 0 again.
    public var plan: FaultPlan {
        get { contents.withLock { $0.plan } }
        set {
            contents.withLock {
                $0.plan = newValue
                $0.requestCount = 0
            }
        }
    }

    /// Every request made through ``execute(_:)``, oldest first.
    public var journal: [JournalEntry] { contents.withLock { $0.journal } }

    /// Forgets the requests so far; the count for faults goes on.
    public func clearJournal() { contents.withLock { $0.journal = [] } }

    /// Changes the state as another program would: no fault strikes, the journal keeps silent, subscribers hear of it.
    ///
    /// - Returns: the error numbers of the requests that failed.
    @discardableResult
    public func change(_ requests: RouteRequest...) -> [CInt] {
        contents.withLock { contents in
            let codes = requests.compactMap { request in Self.carryOut(request, &contents.state)?.code }
            Self.publish(&contents)
            return codes
        }
    }

    /// Makes an interface as another program would; `nil` when the name is taken.
    @discardableResult
    public func makeLink(_ link: NewLink) -> Int32? {
        change(.createLink(link)).isEmpty
            ? contents.withLock { $0.state.links.values.first { $0.name == link.name }?.index } : nil
    }

    /// Makes a TUN device as `/dev/net/tun` would: rtnetlink cannot.
    ///
    /// - Returns: the error number, when something else has the name.
    @discardableResult
    public func makeTun(_ name: InterfaceName) -> CInt? {
        contents.withLock { contents in
            defer { Self.publish(&contents) }
            return contents.state.makeTun(name)
        }
    }

    /// Ends duplicate address detection, which Linux does after a second: until then an IPv6 address that was added without
    /// ``AddressFlags/noDuplicateDetection`` is tentative, cannot be a source, and subscribers have not heard of it.
    ///
    /// - Parameter isDuplicate: whether another host was found to have the address, which then stays unusable.
    public func finishDuplicateDetection(_ isDuplicate: (Address) -> Bool = { _ in false }) {
        contents.withLock { contents in
            contents.state.finishDuplicateDetection(isDuplicate)
            Self.publish(&contents)
        }
    }

    /// The changes from now on; the stream is not bounded. Resyncs come from ``loseEvents()``.
    public func events() -> AsyncStream<NetlinkEvent> {
        AsyncStream { continuation in contents.withLock { $0.subscribers.append(continuation) } }
    }

    /// Tells subscribers that changes were lost.
    public func loseEvents() {
        contents.withLock { contents in
            for subscriber in contents.subscribers { subscriber.yield(.resync) }
        }
    }

    /// Ends the streams that ``events()`` gave.
    public func finishEvents() {
        let subscribers = contents.withLock { contents in
            defer { contents.subscribers = [] }
            return contents.subscribers
        }
        for subscriber in subscribers { subscriber.finish() }
    }

    private static func publish(_ contents: inout Contents) {
        for event in contents.state.events {
            for subscriber in contents.subscribers { subscriber.yield(event) }
        }
        contents.state.events = []
    }

    private static func carryOut(_ request: RouteRequest, _ state: inout FakeState) -> Refusal? {
        do throws(Refusal) {
            try state.carryOut(request)
            return nil
        } catch {
            return error
        }
    }

    // MARK: RouteNetlink

    /// By index.
    public func links() throws(NetlinkError) -> [Link] {
        try dump(.links) { $0.links.values.sorted { $0.index < $1.index } }
    }

    /// Of one interface, or of all for `nil`.
    public func addresses(interface: Int32?) throws(NetlinkError) -> [Address] {
        try dump(.addresses) { state in
            state.addresses.filter { interface == nil || $0.interface == interface }
        }
    }

    /// As the filter lets through, in a fixed order.
    public func routes(_ filter: RouteFilter) throws(NetlinkError) -> [Route] {
        try dump(.routes) { state in
            state.routes.sorted { $0.key < $1.key }
                .flatMap(\.value).map { state.resolved($0) }.filter { filter.matches($0) }
        }
    }

    /// By the longest prefix in the local table, then in main; policy rules are not looked at.
    public func route(to address: IPAddress) throws(NetlinkError) -> Route? {
        try dump(.routes) { state in
            let fitting = state.routes.values.joined().filter {
                $0.destination.contains(address) && [Route.localTable, Route.mainTable].contains($0.table)
            }
            let best = fitting.max { left, right in
                (left.table, left.destination.length, right.metric ?? 0)
                    < (right.table, right.destination.length, left.metric ?? 0)
            }
            return best.map { [state.resolved($0)] } ?? []
        }.first
    }

    /// In the order they are looked at.
    public func rules() throws(NetlinkError) -> [Rule] { try dump(.rules) { $0.rules } }

    /// Of one interface, or of all for `nil`; by interface and address.
    public func neighbours(interface: Int32?) throws(NetlinkError) -> [Neighbour] {
        try dump(.neighbours) { state in
            state.neighbours.values.filter { interface == nil || $0.interface == interface }
                .sorted { ($0.interface, $0.address) < ($1.interface, $1.address) }
        }
    }

    /// Of one VXLAN or bridge port, or of all for `nil`, in a fixed order.
    public func forwardingEntries(interface: Int32?) throws(NetlinkError) -> [ForwardingEntry] {
        try dump(.forwardingEntries) { state in
            state.forwardingEntries.sorted { $0.key < $1.key }
                .flatMap(\.value).filter { interface == nil || $0.interface == interface }
        }
    }

    /// By id.
    public func nexthops() throws(NetlinkError) -> [NexthopObject] {
        try dump(.nexthops) { $0.nexthops.values.sorted { $0.id < $1.id } }
    }

    private func dump<Element: Sendable>(
        _ table: FaultPlan.Table, _ read: @Sendable (FakeState) -> [Element]
    ) throws(NetlinkError) -> [Element] {
        try contents.withLock { contents throws(NetlinkError) -> [Element] in
            let fault = contents.plan.take { trigger in
                if case .dump(let wanted) = trigger { wanted == nil || wanted == table } else { false }
            }
            switch fault {
            case nil: return read(contents.state)
            case EINTR: throw .dumpInterrupted(subject: "dump \(table)", attempts: 1)
            case .some(let code):
                throw .system(SystemCallError(code: code, call: "recvfrom", subject: "dump \(table)"))
            }
        }
    }

    /// As the kernel would, with the plan's faults; each request is put in the journal.
    public func execute(_ requests: [RouteRequest]) throws(NetlinkError) -> [RequestFailure] {
        let intruder = contents.withLock { contents in
            defer { contents.plan.beforeNextBatch = nil }
            return contents.plan.beforeNextBatch
        }
        intruder?(self)
        return try contents.withLock { contents throws(NetlinkError) in
            var failures: [RequestFailure] = []
            for (position, request) in requests.enumerated() {
                let number = contents.requestCount
                contents.requestCount += 1
                let fault = contents.plan.take { trigger in
                    switch trigger {
                    case .request(let wanted): wanted == number
                    case .requestMatching(let matches): matches(request)
                    case .dump, .answers: false
                    }
                }
                let refusal =
                    fault.map { Refusal($0, "fault of the test") }
                    ?? Self.carryOut(request, &contents.state)
                contents.journal.append(JournalEntry(request: request, code: refusal?.code))
                if let refusal {
                    failures.append(
                        RequestFailure(
                            position: position, request: request, code: refusal.code, message: refusal.message,
                            sequence: UInt32(truncatingIfNeeded: number)))
                }
            }
            Self.publish(&contents)
            let isLost = contents.plan.take { if case .answers = $0 { true } else { false } } != nil
            if isLost { throw .answersLost }
            return failures
        }
    }
}
