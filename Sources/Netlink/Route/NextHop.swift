import IPNetwork

/// One way that packets of a route can take.
public struct NextHop: Hashable, Sendable {
    /// The router; `nil` when the destination is on the link. An IPv6 router may serve an IPv4 route.
    public var gateway: IPAddress?
    /// The index of the interface.
    public var interface: Int32?
    /// Taken as being on the link although no address of the interface covers it (`RTNH_F_ONLINK`).
    public var onlink: Bool
    /// The share among several next hops, 1 to 256.
    public var weight: UInt16
    /// How packets are encapsulated on this way (a lightweight tunnel).
    public var encapsulation: Encapsulation?
    /// What the kernel says about the next hop; ignored in requests.
    public var state: State

    /// All fields as given.
    public init(
        gateway: IPAddress? = nil, interface: Int32? = nil, onlink: Bool = false, weight: UInt16 = 1,
        encapsulation: Encapsulation? = nil, state: State = []
    ) {
        self.gateway = gateway
        self.interface = interface
        self.onlink = onlink
        self.weight = weight
        self.encapsulation = encapsulation
        self.state = state
    }

    /// `RTNH_F_*` but for onlink.
    public struct State: OptionSet, Hashable, Sendable {
        /// As the kernel numbers them.
        public var rawValue: UInt8
        /// Bits without a name here are kept.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Not usable.
        public static let dead = State(rawValue: 1)
        /// The gateway is found by another lookup.
        public static let pervasive = State(rawValue: 2)
        /// Done by hardware.
        public static let offload = State(rawValue: 8)
        /// The interface has no carrier.
        public static let linkDown = State(rawValue: 16)
        /// Not resolved (multicast).
        public static let unresolved = State(rawValue: 32)
        /// Hardware hands the packets to the kernel.
        public static let trap = State(rawValue: 64)
    }

    /// A lightweight tunnel (`RTA_ENCAP_TYPE` and the nested `RTA_ENCAP`).
    public struct Encapsulation: Hashable, Sendable {
        /// `LWTUNNEL_ENCAP_*`: 1 MPLS, 2 IPv4, 4 IPv6, 5 SEG6 …
        public var type: UInt16
        /// The tunnel's own attributes, numbered as `type` says.
        public var attributes: [Attribute]

        /// All fields as given; that they fit each other is not checked.
        public init(type: UInt16, attributes: [Attribute]) {
            self.type = type
            self.attributes = attributes
        }
    }
}

extension NextHop: CustomStringConvertible {
    /// As iproute2 writes it, with the interface's index: `via 10.5.34.0 dev 7 onlink`.
    public var description: String {
        var words: [String] = []
        if let encapsulation { words.append("encap \(encapsulation.type)") }
        if let gateway { words.append("via \(gateway)") }
        if let interface { words.append("dev \(interface)") }
        if onlink { words.append("onlink") }
        if weight != 1 { words.append("weight \(weight)") }
        return words.joined(separator: " ")
    }
}
