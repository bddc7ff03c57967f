import LinuxSystem

/// What netlink does not do to an interface.
public protocol InterfaceSettings: Sendable {
    /// Keeps router advertisements from giving the interface addresses and routes (`accept_ra`, as flannel sets it). Does
    /// nothing where that is so already, or where IPv6 is off.
    func refuseRouterAdvertisements(_ interface: InterfaceName) throws(SystemCallError)

    /// Turns IPv6 on for the interface, which refuses addresses while `disable_ipv6` is set for it. Does nothing where that
    /// is so already, or where the kernel has no IPv6.
    func enableIPv6(_ interface: InterfaceName) throws(SystemCallError)

    /// Whether IPv4 packets are dropped that come in by the interface with a source that is not reached by it
    /// (`rp_filter`). Does nothing where that is so already.
    func checkSources(_ interface: InterfaceName, _ isOn: Bool) throws(SystemCallError)

    /// Makes a TUN device that stays when no process has it open. Does nothing where there is one.
    func makeTun(_ interface: InterfaceName) throws(SystemCallError)
}

/// The settings under /proc/sys, and the devices of /dev/net/tun, of the process's own namespace.
public struct SysctlInterfaceSettings: InterfaceSettings {
    /// Needs the right to write under /proc/sys only when a setting is changed.
    public init() {}

    /// Writes `accept_ra` when it is not 0 yet; does nothing where it cannot be read, as without IPv6.
    ///
    /// - Throws: ``SystemCallError`` when it cannot be written.
    public func refuseRouterAdvertisements(_ interface: InterfaceName) throws(SystemCallError) {
        let key = "net/ipv6/conf/\(interface)/accept_ra"
        guard let value = try? Sysctl.read(key), value != "0" else { return }
        try Sysctl.write(key, "0")
    }

    /// Writes `disable_ipv6` when it is not 0 yet; does nothing where it cannot be read, as without IPv6.
    ///
    /// - Throws: ``SystemCallError`` when it cannot be written.
    public func enableIPv6(_ interface: InterfaceName) throws(SystemCallError) {
        let key = "net/ipv6/conf/\(interface)/disable_ipv6"
        guard let value = try? Sysctl.read(key), value != "0" else { return }
        try Sysctl.write(key, "0")
    }

    /// Writes `rp_filter`, 1 or 0, when it is another. The kernel takes the greater of this and the one of `all`, where 2 checks
    /// less.
    ///
    /// - Throws: ``SystemCallError`` when it cannot be written.
    public func checkSources(_ interface: InterfaceName, _ isOn: Bool) throws(SystemCallError) {
        let key = "net/ipv4/conf/\(interface)/rp_filter"
        let wanted = isOn ? "1" : "0"
        guard let value = try? Sysctl.read(key), value != wanted else { return }
        try Sysctl.write(key, wanted)
    }

    /// Opens `/dev/net/tun` and closes it again.
    ///
    /// - Throws: ``SystemCallError`` when the kernel has no TUN devices, or something else has the name.
    public func makeTun(_ interface: InterfaceName) throws(SystemCallError) { try PersistentTun.make(interface) }
}
