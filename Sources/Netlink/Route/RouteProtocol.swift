/// Who made a route, address, rule or nexthop object (`rtm_protocol`, `RTPROT_*`).
///
/// The kernel keeps the number and otherwise ignores it; from 5 up it is for user space to agree on.
public struct RouteProtocol: RawRepresentable, Hashable, Sendable {
    /// As the kernel numbers them.
    public var rawValue: UInt8
    /// Any number will do.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Not said; in a request to delete, any.
    public static let unspecified = RouteProtocol(rawValue: 0)
    /// By an ICMP redirect.
    public static let redirect = RouteProtocol(rawValue: 1)
    /// By the kernel itself, for an address.
    public static let kernel = RouteProtocol(rawValue: 2)
    /// What `ip route add` uses when it is not told.
    public static let boot = RouteProtocol(rawValue: 3)
    /// By the administrator.
    public static let `static` = RouteProtocol(rawValue: 4)
    /// By a router advertisement.
    public static let routerAdvertisement = RouteProtocol(rawValue: 9)
    /// By a DHCP client.
    public static let dhcp = RouteProtocol(rawValue: 16)
}

extension RouteProtocol: CustomStringConvertible {
    /// iproute2's word, or the number.
    public var description: String {
        switch self {
        case .unspecified: "unspec"
        case .redirect: "redirect"
        case .kernel: "kernel"
        case .boot: "boot"
        case .static: "static"
        case .routerAdvertisement: "ra"
        case .dhcp: "dhcp"
        default: "\(rawValue)"
        }
    }
}
