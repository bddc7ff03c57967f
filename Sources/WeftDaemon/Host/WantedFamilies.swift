import IPNetwork
import Leases

/// The address families of the overlay, which the external interface must have an address of.
public struct WantedFamilies: Hashable, Sendable {
    /// IPv4 hosts reach each other over IPv4.
    public var ipv4: Bool
    /// IPv6 hosts over IPv6.
    public var ipv6: Bool

    /// Both as given.
    public init(ipv4: Bool, ipv6: Bool) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    /// What the network config turns on.
    public init(_ config: NetworkConfig) { self.init(ipv4: config.ipv4 != nil, ipv6: config.ipv6 != nil) }

    /// What an earlier run had.
    public init(_ subnet: SubnetKey) { self.init(ipv4: subnet.ipv4 != nil, ipv6: subnet.ipv6 != nil) }
}
