import IPNetwork

/// The network config, one for all hosts: flannel's `Config`, which the registry holds as JSON under `<prefix>/config`.
public struct NetworkConfig: Hashable, Sendable {
    /// The IPv4 overlay; `nil` when EnableIPv4 is false (it is true when silent).
    public let ipv4: AddressRange<IPv4Address>?
    /// The IPv6 overlay; `nil` unless EnableIPv6 is true.
    public let ipv6: AddressRange<IPv6Address>?
    /// Whether firewall rules go to nftables; `nil` when the config is silent.
    public let enableNFTables: Bool?
    /// The backend's name in lower case; `udp` when there is no Backend.
    public let backendType: String
    /// The Backend object with the backend's own options; an empty object when there is none.
    public let backend: JSONValue

    /// The most bytes of a config that are read.
    public static let sizeLimit = 1 << 20

    /// Fields that were checked already; tests and registries other than etcd make configs from parts.
    public init(
        ipv4: AddressRange<IPv4Address>?, ipv6: AddressRange<IPv6Address>? = nil, enableNFTables: Bool? = nil,
        backendType: String = "udp", backend: JSONValue = .object([])
    ) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.enableNFTables = enableNFTables
        self.backendType = backendType
        self.backend = backend
    }

    /// Reads and checks the JSON text by flannel's rules (`ParseConfig` and `CheckNetworkConfig`): keys without regard to
    /// case at every level, the last of duplicates, unknown keys ignored. Refused beyond flannel: bounds out of order, a
    /// network where hosts can't have addresses, both families off, and invalid UTF-8. A Backend without a Type is
    /// refused as flannel does, where its type is the unknown backend "".
    public init(json: [UInt8]) throws(ConfigError) {
        let root: JSONValue
        do {
            root = try JSONValue(parsing: json, sizeLimit: Self.sizeLimit)
        } catch {
            throw ConfigError(
                field: "", value: "not JSON (\(error))",
                allowed: "an object such as {\"Network\":\"10.5.0.0/16\",\"Backend\":{\"Type\":\"vxlan\"}}")
        }
        guard case .object = root else {
            throw ConfigError(
                field: "", value: root.excerpt, allowed: "an object such as {\"Network\":\"10.5.0.0/16\"}")
        }
        do {
            try self.init(root)
        } catch {
            throw ConfigError(error)
        }
    }

    private init(_ root: JSONValue) throws(FieldError) {
        let enableIPv4 = try root.bool("EnableIPv4") ?? true
        let enableIPv6 = try root.bool("EnableIPv6") ?? false
        enableNFTables = try root.bool("EnableNFTables")
        ipv4 = try AddressRangeFields.ipv4.read(root, enabled: enableIPv4)
        ipv6 = try AddressRangeFields.ipv6.read(root, enabled: enableIPv6)
        guard enableIPv4 || enableIPv6 else {
            throw FieldError(
                path: "EnableIPv4", value: "false", allowed: "true, or set EnableIPv6 to true for an IPv6-only overlay")
        }
        guard root["Backend"] != nil else {
            backend = .object([])
            backendType = "udp"
            return
        }
        backend = try root.object("Backend") ?? .object([])
        let type = try backend.string("Type", path: "Backend")
        guard let type, !type.isEmpty else {
            throw FieldError(
                path: "Backend.Type", value: type == nil ? nil : "\"\"",
                allowed: "a backend's name such as \"vxlan\" or \"host-gw\"")
        }
        backendType = type.lowercased()
    }

    /// Whether a host may hold this key: exactly the families that are on, each subnet of the right length, in Network
    /// and between the bounds (flannel's `isSubnetConfigCompat` for both families).
    public func admits(_ key: SubnetKey) -> Bool {
        Self.admits(ipv4, key.ipv4) && Self.admits(ipv6, key.ipv6)
    }

    private static func admits<Address>(_ range: AddressRange<Address>?, _ subnet: Prefix<Address>?) -> Bool {
        switch (range, subnet) {
        case (let range?, let subnet?): range.admits(subnet)
        case (nil, nil): true
        default: false
        }
    }
}
