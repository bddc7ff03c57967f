import IPNetwork
import LinuxSystem

/// A rule that chooses the routing table (`RTM_NEWRULE`). `nil` matches anything.
public struct Rule: Hashable, Sendable {
    public var family: AddressFamily
    /// The place in the order, lower first; `nil` lets the kernel choose.
    public var priority: UInt32?
    public var source: IPPrefix?
    public var destination: IPPrefix?
    /// The table that ``Action/toTable`` looks in; 0 for other actions.
    public var table: UInt32
    public var action: Action
    /// The packet mark, compared under `mask`.
    public var mark: UInt32?
    public var mask: UInt32?
    public var inputInterface: InterfaceName?
    public var outputInterface: InterfaceName?
    /// Applies to what does not match (`FIB_RULE_INVERT`).
    public var isInverted: Bool
    public var tos: UInt8
    /// The rule that ``Action/goto`` goes on with, by priority.
    public var gotoPriority: UInt32?
    /// A route found with a prefix of at most this length is not taken.
    public var suppressPrefixLength: UInt32?
    /// The IP protocol number.
    public var ipProtocol: UInt8?
    public var sourcePorts: ClosedRange<UInt16>?
    public var destinationPorts: ClosedRange<UInt16>?
    public var proto: RouteProtocol?
    /// Attributes without a field here, as they came.
    public var otherAttributes: [Attribute]

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
        public var rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Looks in the rule's table.
        public static let toTable = Action(rawValue: 1)
        /// Goes on with another rule.
        public static let goto = Action(rawValue: 2)
        public static let nothing = Action(rawValue: 3)
        public static let blackhole = Action(rawValue: 6)
        public static let unreachable = Action(rawValue: 7)
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
