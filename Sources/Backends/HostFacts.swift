import IPNetwork
import LinuxSystem

/// What a backend needs to know of the host: its external interface and addresses.
public struct HostFacts: Hashable, Sendable {
    /// The interface that reaches the other hosts.
    public var interface: InterfaceName
    /// The interface's MTU in bytes.
    public var mtu: UInt32
    /// The interface's address that packets to other hosts leave from; behind NAT not the public one.
    public var localIPv4: IPv4Address?
    /// The same for IPv6.
    public var localIPv6: IPv6Address?
    /// Where other hosts send to.
    public var publicIPv4: IPv4Address?
    /// The same over IPv6.
    public var publicIPv6: IPv6Address?
    /// The prefixes that are on the interface's own link: hosts in them are reached without a router.
    public var linkPrefixes: [IPPrefix]
    /// Whether the kernel can carry the udp backend's packets itself.
    public var kernelPlane: KernelPlaneSupport
    /// What carries the udp backend's packets whatever the config says, after the wanted plane failed.
    public var forcedPlane: UDPPlaneChoice?

    /// All fields as given.
    public init(
        interface: InterfaceName, mtu: UInt32, localIPv4: IPv4Address? = nil, localIPv6: IPv6Address? = nil,
        publicIPv4: IPv4Address? = nil, publicIPv6: IPv6Address? = nil, linkPrefixes: [IPPrefix] = [],
        kernelPlane: KernelPlaneSupport = .unavailable("the kernel was not asked"),
        forcedPlane: UDPPlaneChoice? = nil
    ) {
        self.interface = interface
        self.mtu = mtu
        self.localIPv4 = localIPv4
        self.localIPv6 = localIPv6
        self.publicIPv4 = publicIPv4
        self.publicIPv6 = publicIPv6
        self.linkPrefixes = linkPrefixes
        self.kernelPlane = kernelPlane
        self.forcedPlane = forcedPlane
    }

    /// Whether a host at `address` is on the external interface's own link. A prefix's network and broadcast addresses are
    /// no host's (RFC 3021 excepts IPv4's /31).
    public func isOnLink(_ address: IPAddress) -> Bool {
        linkPrefixes.contains { prefix in
            guard prefix.contains(address) else { return false }
            guard case (.v4(let prefix), .v4(let address)) = (prefix, address), prefix.length < 31 else { return true }
            return address != prefix.address && address != prefix.lastAddress
        }
    }
}
