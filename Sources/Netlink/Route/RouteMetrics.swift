/// Values of a route that a transport protocol starts from (`RTA_METRICS`).
///
/// Kept as a short sorted list: most routes have none, and then it takes no memory.
public struct RouteMetrics: Hashable, Sendable {
    /// Which value (`RTAX_*`).
    public struct Kind: RawRepresentable, Hashable, Comparable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt8
        /// Numbers without a name here are kept.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// By the kernel's numbers.
        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }

        /// Bits of the values that path MTU discovery and the like must not change.
        public static let lock = Kind(rawValue: 1)
        /// Bytes.
        public static let mtu = Kind(rawValue: 2)
        /// Bytes.
        public static let window = Kind(rawValue: 3)
        /// Eighths of a millisecond.
        public static let roundTripTime = Kind(rawValue: 4)
        /// Quarters of a millisecond.
        public static let roundTripTimeVariance = Kind(rawValue: 5)
        /// Segments.
        public static let slowStartThreshold = Kind(rawValue: 6)
        /// An upper limit, in segments; needs its bit in ``lock``.
        public static let congestionWindow = Kind(rawValue: 7)
        /// Bytes.
        public static let advertisedSegmentSize = Kind(rawValue: 8)
        /// How many segments may be out of order before one counts as lost.
        public static let reordering = Kind(rawValue: 9)
        /// The hop limit or TTL of packets sent, up to 255.
        public static let hopLimit = Kind(rawValue: 10)
        /// Segments.
        public static let initialCongestionWindow = Kind(rawValue: 11)
        /// `RTAX_FEATURE_*`, bits.
        public static let features = Kind(rawValue: 12)
        /// Milliseconds.
        public static let minimumRetransmissionTimeout = Kind(rawValue: 13)
        /// Segments.
        public static let initialReceiveWindow = Kind(rawValue: 14)
        /// Not 0: every segment is acknowledged at once.
        public static let quickAcknowledgement = Kind(rawValue: 15)
        /// Not 0: TCP Fast Open works without a cookie.
        public static let fastOpenNoCookie = Kind(rawValue: 17)
    }

    struct Entry: Hashable, Sendable {
        var kind: Kind
        var value: UInt32
    }

    /// Sorted by kind, each kind once.
    private(set) var entries: [Entry] = []
    /// The name of the TCP congestion control algorithm (`RTAX_CC_ALGO`).
    public var congestionControl: String?

    /// No value at all.
    public init() {}

    /// Whether nothing is set.
    public var isEmpty: Bool { entries.isEmpty && congestionControl == nil }

    /// `nil` when it is not set; setting `nil` removes it.
    public subscript(kind: Kind) -> UInt32? {
        get { entries.first { $0.kind == kind }?.value }
        set {
            let place = entries.firstIndex { $0.kind >= kind } ?? entries.endIndex
            if place < entries.endIndex, entries[place].kind == kind { entries.remove(at: place) }
            if let newValue { entries.insert(Entry(kind: kind, value: newValue), at: place) }
        }
    }

    /// The largest packet on the route, in bytes.
    public var mtu: UInt32? {
        get { self[.mtu] }
        set { self[.mtu] = newValue }
    }

    /// The TCP segment size announced to peers, in bytes.
    public var advertisedSegmentSize: UInt32? {
        get { self[.advertisedSegmentSize] }
        set { self[.advertisedSegmentSize] = newValue }
    }
}
