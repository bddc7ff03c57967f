import Glibc
import LinuxSystem
import Netlink

/// What goes wrong in a ``FakeKernel``, so that one scenario can be run under every single fault.
public struct FaultPlan: Sendable {
    /// A table that can be read.
    public enum Table: CaseIterable, Hashable, Sendable {
        case links, addresses, routes, rules, neighbours, forwardingEntries, nexthops
    }

    /// When a fault strikes.
    public enum Trigger: Sendable {
        /// The request with this number, from 0, counted over all batches since the plan was set.
        case request(Int)
        /// A request that the closure picks.
        case requestMatching(@Sendable (RouteRequest) -> Bool)
        /// A dump of the table, or of any.
        case dump(Table?)
        /// A batch: it is carried out, but its answers are lost (``NetlinkError/answersLost``).
        case answers
    }

    /// One thing that goes wrong.
    public struct Fault: Sendable {
        /// When it strikes.
        public var trigger: Trigger
        /// The error number. For a dump, EINTR is an interrupted one and anything else a failed read; for lost
        /// answers it is of no account.
        public var code: CInt
        /// Strikes again and again; once when `false`.
        public var isLasting: Bool

        /// Strikes once unless told.
        public init(_ trigger: Trigger, code: CInt, isLasting: Bool = false) {
            self.trigger = trigger
            self.code = code
            self.isLasting = isLasting
        }
    }

    /// In the order they are looked at: the first that strikes is taken.
    public var faults: [Fault]
    /// Runs once, before the next batch is carried out: what another program does between a dump and the change that
    /// follows from it.
    public var beforeNextBatch: (@Sendable (FakeKernel) -> Void)?

    /// All fields as given; with none, nothing goes wrong.
    public init(_ faults: [Fault] = [], beforeNextBatch: (@Sendable (FakeKernel) -> Void)? = nil) {
        self.faults = faults
        self.beforeNextBatch = beforeNextBatch
    }

    /// Nothing goes wrong.
    public static let none = FaultPlan()

    /// Takes the first fault that `strikes`, and forgets it unless it lasts.
    mutating func take(_ strikes: (Trigger) -> Bool) -> CInt? {
        guard let index = faults.firstIndex(where: { strikes($0.trigger) }) else { return nil }
        let fault = faults[index]
        if !fault.isLasting { faults.remove(at: index) }
        return fault.code
    }
}
