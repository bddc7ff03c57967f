/// How far away the destination of a route, or the validity of an address, reaches (`RT_SCOPE_*`).
public struct RouteScope: RawRepresentable, Hashable, Sendable {
    /// As the kernel numbers them; the nearer the higher.
    public var rawValue: UInt8
    /// Numbers without a name here are kept.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Beyond a gateway; an address that is valid everywhere.
    public static let universe = RouteScope(rawValue: 0)
    /// Inside the own site (IPv6, deprecated).
    public static let site = RouteScope(rawValue: 200)
    /// On the attached link.
    public static let link = RouteScope(rawValue: 253)
    /// On this host.
    public static let host = RouteScope(rawValue: 254)
    /// No such destination; in a request to delete, any scope.
    public static let nowhere = RouteScope(rawValue: 255)
}

extension RouteScope: CustomStringConvertible {
    /// iproute2's word, or the number.
    public var description: String {
        switch self {
        case .universe: "global"
        case .site: "site"
        case .link: "link"
        case .host: "host"
        case .nowhere: "nowhere"
        default: "\(rawValue)"
        }
    }
}
