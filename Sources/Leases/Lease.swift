import IPNetwork

/// What a host publishes with its lease: the JSON value of flannel's `LeaseAttrs`.
public struct LeaseAttributes: Hashable, Sendable {
    /// Where the other hosts send this host's packets, IPv4.
    public var publicIP: IPv4Address?
    /// The same for IPv6.
    public var publicIPv6: IPv6Address?
    /// The backend's name; empty for those that omit it (udp, alloc, tencent-vpc).
    public var backendType: String
    /// What the backend of this type needs to know of the host over IPv4: `{"VNI":1,"VtepMAC":"8e:…"}`.
    public var backendData: JSONValue?
    /// The same for IPv6.
    public var backendV6Data: JSONValue?

    /// All fields as given.
    public init(
        publicIP: IPv4Address? = nil, publicIPv6: IPv6Address? = nil, backendType: String = "",
        backendData: JSONValue? = nil, backendV6Data: JSONValue? = nil
    ) {
        self.publicIP = publicIP
        self.publicIPv6 = publicIPv6
        self.backendType = backendType
        self.backendData = backendData
        self.backendV6Data = backendV6Data
    }
}

/// A host's hold on a subnet.
///
/// A value, kept on the heap: each of thousands stands in several tables, which hold a pointer so.
public struct Lease: Sendable {
    private var contents: Contents

    /// The subnet.
    public var key: SubnetKey { contents.fields.key }
    /// What the holder says about itself.
    public var attributes: LeaseAttributes {
        get { contents.fields.attributes }
        set {
            var fields = contents.fields
            fields.attributes = newValue
            contents = Contents(fields)
        }
    }
    /// The key is without a TTL: an operator set it aside for the host with its PublicIP. It is kept and reused and never
    /// given a TTL.
    public var isReservation: Bool { contents.fields.isReservation }
    /// The registry's revision at which the key was made.
    public var createRevision: Int64 { contents.fields.createRevision }
    /// The registry's revision at which the key was last written.
    public var modRevision: Int64 { contents.fields.modRevision }

    /// All fields as given.
    public init(
        key: SubnetKey, attributes: LeaseAttributes, isReservation: Bool, createRevision: Int64, modRevision: Int64
    ) {
        contents = Contents(
            Fields(
                key: key, attributes: attributes, isReservation: isReservation, createRevision: createRevision,
                modRevision: modRevision))
    }

    private struct Fields: Hashable, Sendable {
        let key: SubnetKey
        var attributes: LeaseAttributes
        let isReservation: Bool
        let createRevision: Int64
        let modRevision: Int64
    }

    private final class Contents: Sendable {
        let fields: Fields
        init(_ fields: Fields) { self.fields = fields }
    }
}

extension Lease: Hashable {
    /// By all fields.
    public static func == (lhs: Lease, rhs: Lease) -> Bool {
        lhs.contents === rhs.contents || lhs.contents.fields == rhs.contents.fields
    }

    /// Over all fields.
    public func hash(into hasher: inout Hasher) { hasher.combine(contents.fields) }
}

/// A key under `<prefix>/subnets/` as the registry holds it, not looked into yet.
public struct LeaseRecord: Hashable, Sendable {
    /// The key's last component, for example `10.5.34.0-24`; whatever bytes are there, as text.
    public let name: String
    /// The bytes as stored, JSON or not.
    public let value: [UInt8]
    /// The registry's revision at which the key was made.
    public let createRevision: Int64
    /// The registry's revision at which the key was last written; what an atomic write compares.
    public let modRevision: Int64
    /// Whether the key is without a TTL.
    public let isReservation: Bool

    /// All fields as given.
    public init(name: String, value: [UInt8], createRevision: Int64, modRevision: Int64, isReservation: Bool) {
        self.name = name
        self.value = value
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.isReservation = isReservation
    }
}
