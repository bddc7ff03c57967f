import IPNetwork

/// What a host that holds a key may go on holding.
extension NetworkConfig {
    /// The subnets of `key` that the config admits; `nil` when it admits none.
    public func admittedPart(of key: SubnetKey) -> SubnetKey? {
        SubnetKey(
            of: key.ipv4.flatMap { subnet in ipv4.flatMap { $0.admits(subnet) ? subnet : nil } },
            key.ipv6.flatMap { subnet in ipv6.flatMap { $0.admits(subnet) ? subnet : nil } })
    }

    /// Whether a host with `key` keeps the subnet of each family that the config has on, when the other families of the
    /// key are dropped and those that it lacks are added.
    public func keepsSubnets(of key: SubnetKey) -> Bool {
        let wanted = SubnetKey(of: ipv4 == nil ? nil : key.ipv4, ipv6 == nil ? nil : key.ipv6)
        return wanted != nil && admittedPart(of: key) == wanted
    }

    /// The config with those families alone that `key` has a subnet of.
    public func limited(to key: SubnetKey) -> NetworkConfig {
        NetworkConfig(
            ipv4: key.ipv4 == nil ? nil : ipv4, ipv6: key.ipv6 == nil ? nil : ipv6, enableNFTables: enableNFTables,
            backendType: backendType, backend: backend)
    }
}
