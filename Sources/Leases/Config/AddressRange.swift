import IPNetwork

/// The part of a network config that is of one family: the overlay's addresses and how hosts share them.
public struct AddressRange<Address: NetworkAddress>: Hashable, Sendable {
    /// The whole overlay network.
    public let network: Prefix<Address>
    /// The length of each host's subnet, in bits.
    public let subnetLength: Int
    /// The first address of the lowest subnet that is given out.
    public let subnetMin: Address
    /// The first address of the highest subnet that is given out.
    public let subnetMax: Address

    /// The bounds must be in `network`, on a boundary of `subnetLength` and in order; ``NetworkConfig/init(json:)``
    /// checks them.
    public init(network: Prefix<Address>, subnetLength: Int, subnetMin: Address, subnetMax: Address) {
        self.network = network
        self.subnetLength = subnetLength
        self.subnetMin = subnetMin
        self.subnetMax = subnetMax
    }

    /// Whether a host may lease this subnet: of the right length and between the bounds.
    public func admits(_ subnet: Prefix<Address>) -> Bool {
        subnet.length == subnetLength && (subnetMin...max(subnetMin, subnetMax)).contains(subnet.address)
    }
}

/// A family's fields in the network config, by name, with its bounds.
struct AddressRangeFields<Address: NetworkAddress> {
    let networkName: String
    let lengthName: String
    let minName: String
    let maxName: String
    /// The length of a host's subnet where the network has room for it.
    let usualLength: Int
    /// Blocks that hosts can't have addresses in.
    let unusable: [Prefix<Address>]
    let exampleNetwork: String
    let exampleSubnet: String

    private var family: String { Address.bitWidth == 32 ? "IPv4" : "IPv6" }
    /// A subnet needs an address for the tunnel, one for the bridge, and the two that name the block.
    private var longestSubnet: Int { Address.bitWidth - 2 }

    /// Reads the fields. Values of a wrong kind are refused though the family is off, as flannel does; the rules between
    /// the fields hold only when it is on.
    func read(_ root: JSONValue, enabled: Bool) throws(FieldError) -> AddressRange<Address>? {
        // Before the typed readers, which take a null for a missing field: flannel refuses it in these.
        for name in [networkName, minName, maxName] where root[name] == .null {
            if name != networkName && Address.bitWidth == 128 { continue }
            throw FieldError(path: name, value: "null", allowed: allowed(name))
        }
        let network = try root.parsed(networkName, allowed: allowed(networkName), by: Prefix<Address>.init)
        let length = try root.integer(lengthName, in: 0...longestSubnet) ?? 0
        let minimum = try root.parsed(minName, allowed: allowed(minName), by: Address.init)
        let maximum = try root.parsed(maxName, allowed: allowed(maxName), by: Address.init)
        guard enabled else { return nil }

        guard let network, network.length > 0 else {
            throw FieldError(path: networkName, value: network.map { "\"\($0)\"" }, allowed: allowed(networkName))
        }
        if let block = unusable.first(where: network.overlaps) {
            throw FieldError(
                path: networkName, value: "\"\(network)\"",
                allowed: "a prefix outside \(block), where hosts can't have addresses")
        }
        let subnetLength = try subnetLength(length, in: network)
        guard
            let lowest = Prefix<Address>(network.address, length: subnetLength),
            let second = lowest.next,
            let highest = Prefix<Address>(network.lastAddress, length: subnetLength)
        else { throw FieldError(path: networkName, value: "\"\(network)\"", allowed: allowed(networkName)) }
        // The lowest subnet's first address is the network's own, which confuses hosts when an interface has it.
        let first = try bound(minName, minimum, in: network, length: subnetLength) ?? second.address
        let last = try bound(maxName, maximum, in: network, length: subnetLength) ?? highest.address
        guard first <= last else {
            throw minimum == nil || minimum?.rawValue == 0
                ? FieldError(path: maxName, value: "\"\(last)\"", allowed: "at least \(minName), which is \(first)")
                : FieldError(path: minName, value: "\"\(first)\"", allowed: "at most \(maxName), which is \(last)")
        }
        return AddressRange(network: network, subnetLength: subnetLength, subnetMin: first, subnetMax: last)
    }

    private func allowed(_ name: String) -> String {
        name == networkName
            ? "an \(family) prefix such as \"\(exampleNetwork)\""
            : "an \(family) address such as \"\(exampleSubnet)\""
    }

    /// The lowest subnet isn't used, so a network of two would serve one host: it has to hold four.
    private func subnetLength(_ length: Int, in network: Prefix<Address>) throws(FieldError) -> Int {
        guard network.length <= longestSubnet - 2 else {
            throw FieldError(
                path: networkName, value: "\"\(network)\"",
                allowed: "a prefix of /\(longestSubnet - 2) or shorter, which holds four subnets of /\(longestSubnet)")
        }
        guard length > 0 else { return network.length + 2 <= usualLength ? usualLength : network.length + 2 }
        guard length >= network.length + 2 else {
            throw FieldError(
                path: lengthName, value: "\(length)",
                allowed: "\(network.length + 2) to \(longestSubnet), since \(networkName) \(network) must hold at "
                    + "least four subnets")
        }
        return length
    }

    /// The given bound, `nil` when it is left out or zero, which flannel takes for left out.
    private func bound(
        _ name: String, _ address: Address?, in network: Prefix<Address>, length: Int
    ) throws(FieldError) -> Address? {
        guard let address, address.rawValue != 0 else { return nil }
        guard network.contains(address) else {
            throw FieldError(path: name, value: "\"\(address)\"", allowed: "an address in \(networkName) \(network)")
        }
        guard let subnet = Prefix(address, length: length), subnet.address == address else {
            let nearest = Prefix(address, length: length)?.address ?? address
            throw FieldError(
                path: name, value: "\"\(address)\"", allowed: "the first address of a /\(length), such as \(nearest)")
        }
        return address
    }
}

extension AddressRangeFields<IPv4Address> {
    static var ipv4: Self {
        Self(
            networkName: "Network", lengthName: "SubnetLen", minName: "SubnetMin", maxName: "SubnetMax",
            usualLength: 24,
            unusable: ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4"].compactMap(IPv4Prefix.init),
            exampleNetwork: "10.5.0.0/16", exampleSubnet: "10.5.1.0")
    }
}

extension AddressRangeFields<IPv6Address> {
    static var ipv6: Self {
        Self(
            networkName: "IPv6Network", lengthName: "IPv6SubnetLen", minName: "IPv6SubnetMin",
            maxName: "IPv6SubnetMax", usualLength: 64,
            unusable: ["::1/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8"].compactMap(IPv6Prefix.init),
            exampleNetwork: "fd00:10:5::/48", exampleSubnet: "fd00:10:5:1::")
    }
}
