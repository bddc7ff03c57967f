import IPNetwork
import LinuxSystem

/// A rule that chooses the routing table (`RTM_NEWRULE`). `nil` matches anything.
public struct Rule: Hashable, Sendable {
    /// The packets and the table that it is for.
    public var family: AddressFamily
    /// The place in the order, lower first; `nil` lets the kernel choose.
    public var priority: UInt32?
    /// Where packets come from.
    public var source: IPPrefix?
    /// Where packets go to.
    public var destination: IPPrefix?
    /// The table that ``Action/toTable`` looks in; 0 for other actions.
    public var table: UInt32
    /// What happens to packets that match.
    public var action: Action
    /// The packet mark, compared under `mask`.
    public var mark: UInt32?
    /// The bits of the mark that count; `nil` for all of a mark other than 0.
    public var mask: UInt32?
    /// The interface packets came in by; `lo` for this host's own.
    public var inputInterface: InterfaceName?
    /// The interface that a socket is bound to.
    public var outputInterface: InterfaceName?
    /// Applies to what does not match (`FIB_RULE_INVERT`).
    public var isInverted: Bool
    /// The type-of-service field; 0 for all.
    public var tos: UInt8
    /// The rule that ``Action/goto`` goes on with, by priority.
    public var gotoPriority: UInt32?
    /// A route found with a prefix of at most this length is not taken.
    public var suppressPrefixLength: UInt32?
    /// The IP protocol number.
    public var ipProtocol: UInt8?
    /// Both ends included.
    public var sourcePorts: ClosedRange<UInt16>?
    /// Both ends included.
    public var destinationPorts: ClosedRange<UInt16>?
    /// Who made it.
    public var proto: RouteProtocol?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

    /// All fields as given; by default a rule that looks in the main table for every packet.
    public init(
        family: AddressFamily, priority: UInt32? = nil, source: IPPrefix? = nil, destination: IPPrefix? = nil,
        table: UInt32 = Route.mainTable, action: Action = .toTable, mark: UInt32? = nil, mask: UInt32? = nil,
        inputInterface: InterfaceName? = nil, outputInterface: InterfaceName? = nil, isInverted: Bool = false,
        tos: UInt8 = 0, gotoPriority: UInt32? = nil, suppressPrefixLength: UInt32? = nil, ipProtocol: UInt8? = nil,
        sourcePorts: ClosedRange<UInt16>? = nil, destinationPorts: ClosedRange<UInt16>? = nil,
        proto: RouteProtocol? = nil, otherAttributes: [Attribute] = []
    ) {
        self.family = family
        self.priority = priority
        self.source = source
        self.destination = destination
        self.table = table
        self.action = action
        self.mark = mark
        self.mask = mask
        self.inputInterface = inputInterface
        self.outputInterface = outputInterface
        self.isInverted = isInverted
        self.tos = tos
        self.gotoPriority = gotoPriority
        self.suppressPrefixLength = suppressPrefixLength
        self.ipProtocol = ipProtocol
        self.sourcePorts = sourcePorts
        self.destinationPorts = destinationPorts
        self.proto = proto
        self.otherAttributes = otherAttributes
    }

    /// What a rule does (`FR_ACT_*`).
    public struct Action: RawRepresentable, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt8
        /// Numbers without a name here are kept.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Looks in the rule's table.
        public static let toTable = Action(rawValue: 1)
        /// Goes on with another rule.
        public static let goto = Action(rawValue: 2)
        /// Goes on with the next rule.
        public static let nothing = Action(rawValue: 3)
        /// Dropped without a word.
        public static let blackhole = Action(rawValue: 6)
        /// Refused as unreachable (ICMP).
        public static let unreachable = Action(rawValue: 7)
        /// Refused as administratively prohibited (ICMP).
        public static let prohibit = Action(rawValue: 8)
    }
}

extension Rule: CustomStringConvertible {
    /// For example `100: from 10.0.0.0/8 lookup 42`.
    public var description: String {
        var words = [(priority.map { "\($0):" } ?? "auto:"), "from \(source.map { "\($0)" } ?? "all")"]
        if let destination { words.append("to \(destination)") }
        if let mark { words.append("fwmark \(mark)") }
        if let inputInterface { words.append("iif \(inputInterface)") }
        if let outputInterface { words.append("oif \(outputInterface)") }
        words.append(action == .toTable ? "lookup \(table)" : "action \(action.rawValue)")
        return words.joined(separator: " ")
    }
}
