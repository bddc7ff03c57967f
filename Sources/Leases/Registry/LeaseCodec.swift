import IPNetwork

/// The JSON of leases, as flannel's `LeaseAttrs` reads and writes it.
public enum LeaseCodec {
    /// The most bytes of a value that are read; stock writes about 150.
    public static let sizeLimit = 64 << 10

    /// The lease that a record holds. Unknown fields are ignored, and so is the order.
    ///
    /// Only the form is checked here; whether the lease fits the network and the other leases is for ``LeaseSet``.
    public static func decode(_ record: LeaseRecord) throws(LeaseRejection) -> Lease {
        guard let key = SubnetKey(record.name) else {
            throw LeaseRejection(
                name: record.name,
                reason: "the key's name is not a subnet; allowed: a name such as 10.5.34.0-24, host bits zero")
        }
        let attributes: LeaseAttributes
        do {
            attributes = try Self.attributes(record.value)
        } catch {
            throw LeaseRejection(name: record.name, reason: error.reason)
        }
        return Lease(
            key: key, attributes: attributes, isReservation: record.isReservation,
            createRevision: record.createRevision, modRevision: record.modRevision)
    }

    /// What a lease's value says.
    ///
    /// A PublicIP of 0.0.0.0 and a missing one are the same: flannel writes the former when there is none.
    public static func attributes(_ value: [UInt8]) throws(MalformedValue) -> LeaseAttributes {
        let root: JSONValue
        do {
            root = try JSONValue(parsing: value, sizeLimit: sizeLimit)
        } catch {
            throw MalformedValue(reason: "the value is not JSON (\(error)); allowed: an object")
        }
        guard case .object = root else {
            throw MalformedValue(reason: "the value is \(root.excerpt); allowed: an object")
        }
        do {
            return try attributes(root)
        } catch {
            throw MalformedValue(reason: error.description)
        }
    }

    /// Why a lease's value can't be read.
    public struct MalformedValue: Error, Hashable, Sendable {
        /// One sentence: what is wrong, with the value, and what would be right.
        public let reason: String
    }

    private static func attributes(_ root: JSONValue) throws(FieldError) -> LeaseAttributes {
        let allowed = "an IPv4 address such as \"172.30.0.11\""
        // Go's null leaves a pointer nil but goes to the parser of a value, which refuses it.
        if root["PublicIP"] == .null { throw FieldError(path: "PublicIP", value: "null", allowed: allowed) }
        var attributes = LeaseAttributes()
        attributes.publicIP = try root.parsed("PublicIP", allowed: allowed, by: IPv4Address.init)
        if attributes.publicIP == .any { attributes.publicIP = nil }
        attributes.publicIPv6 = try root.parsed(
            "PublicIPv6", allowed: "an IPv6 address such as \"fd00::11\", or null", by: IPv6Address.init)
        if attributes.publicIPv6 == .any { attributes.publicIPv6 = nil }
        attributes.backendType = try root.string("BackendType") ?? ""
        attributes.backendData = data(root, "BackendData")
        attributes.backendV6Data = data(root, "BackendV6Data")
        return attributes
    }

    private static func data(_ root: JSONValue, _ name: String) -> JSONValue? {
        let value = root[name]
        return value == .null ? nil : value
    }

    /// The value to publish: byte for byte what flannel v0.16 to v0.28 writes. v0.11 reads it too, since it ignores
    /// fields that it doesn't know.
    public static func encode(_ attributes: LeaseAttributes) -> [UInt8] {
        var members = [
            JSONValue.Member("PublicIP", .string((attributes.publicIP ?? .any).description)),
            JSONValue.Member("PublicIPv6", attributes.publicIPv6.map { .string($0.description) } ?? .null),
        ]
        if !attributes.backendType.isEmpty {
            members.append(JSONValue.Member("BackendType", .string(attributes.backendType)))
        }
        if let data = attributes.backendData { members.append(JSONValue.Member("BackendData", data)) }
        if let data = attributes.backendV6Data { members.append(JSONValue.Member("BackendV6Data", data)) }
        return JSONValue.object(members).serialised
    }
}
