import LinuxSystem

/// Settings of an interface that netlink does not carry.
public protocol InterfaceSettings: Sendable {
    /// Whether router advertisements are taken; `nil` when IPv6 is off.
    func acceptsRouterAdvertisements(_ interface: InterfaceName) -> Bool?
    func setAcceptsRouterAdvertisements(_ accepts: Bool, _ interface: InterfaceName) throws(SystemCallError)
}

/// The settings under /proc/sys of the process's own namespace.
public struct SysctlInterfaceSettings: InterfaceSettings {
    public init() {}

    public func acceptsRouterAdvertisements(_ interface: InterfaceName) -> Bool? {
        (try? Sysctl.read(key(interface))).map { $0 != "0" }
    }

    public func setAcceptsRouterAdvertisements(_ accepts: Bool, _ interface: InterfaceName) throws(SystemCallError) {
        try Sysctl.write(key(interface), accepts ? "1" : "0")
    }

    private func key(_ interface: InterfaceName) -> String { "net/ipv6/conf/\(interface)/accept_ra" }
}
