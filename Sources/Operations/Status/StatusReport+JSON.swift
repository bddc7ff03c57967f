import Leases

extension StatusReport {
    /// The form that docs/status.md describes.
    public var json: JSONValue {
        .object([
            .init("schema", .integer(Self.schema)),
            .init("version", .string(version)),
            .init("ready", .bool(isReady)),
            .init("conditions", .array(conditions.map(\.json))),
            .init("host", host?.json ?? .null),
            .init("peers", .array(peers.map(\.json))),
            .init("ignored", .array(ignored.map(\.json))),
        ])
    }

    /// Reads what ``json`` wrote, and what a later version writes under the same schema.
    ///
    /// - Throws: ``FieldError`` for another schema, or a field that is missing or of another kind.
    public init(json: JSONValue) throws(FieldError) {
        guard try json.integer("schema", in: 0...Int.max) == Self.schema else {
            throw FieldError(
                path: "schema", value: json["schema"]?.excerpt,
                allowed: "\(Self.schema); weft and weftd are of one version")
        }
        self.init(version: try json.required("version"), isReady: try json.bool("ready") ?? false)
        conditions = try json.list("conditions", Condition.init)
        if let value = try json.object("host") { host = try Host(json: value) }
        peers = try json.list("peers", Peer.init)
        ignored = try json.list("ignored", IgnoredKey.init)
    }
}

extension StatusReport.Condition {
    fileprivate var json: JSONValue {
        .object([
            .init("name", .string(name)), .init("severity", .string(severity)), .init("text", .string(text)),
            .init("remedy", .string(remedy)),
        ])
    }

    fileprivate init(json: JSONValue) throws(FieldError) {
        self.init(
            name: try json.required("name"), severity: try json.required("severity"), text: try json.required("text"),
            remedy: try json.required("remedy"))
    }
}

extension StatusReport.Host {
    fileprivate var json: JSONValue {
        .object([
            .init("subnets", .strings(subnets)), .init("reservation", .bool(isReservation)),
            .init("backend", .string(backend)), .init("interface", .string(interface)),
            .init("addresses", .strings(addresses)), .init("mtu", .integer(mtu)),
            .init("devices", .array(devices.map(\.json))),
        ])
    }

    fileprivate init(json: JSONValue) throws(FieldError) {
        self.init(
            subnets: try json.strings("subnets"), isReservation: try json.bool("reservation") ?? false,
            backend: try json.required("backend"), interface: try json.required("interface"),
            addresses: try json.strings("addresses"), mtu: try json.number("mtu"))
        devices = try json.list("devices", StatusReport.Device.init)
    }
}

extension StatusReport.Device {
    fileprivate var json: JSONValue {
        .object([
            .init("name", .string(name)), .init("up", .bool(isUp)), .init("mtu", .integer(mtu)),
            .init("received_bytes", .integer(receivedBytes)), .init("sent_bytes", .integer(sentBytes)),
            .init("dropped", .integer(dropped)),
        ])
    }

    fileprivate init(json: JSONValue) throws(FieldError) {
        self.init(name: try json.required("name"), isUp: try json.bool("up") ?? false)
        mtu = try json.number("mtu")
        receivedBytes = try json.number("received_bytes")
        sentBytes = try json.number("sent_bytes")
        dropped = try json.number("dropped")
    }
}

extension StatusReport.Peer {
    fileprivate var json: JSONValue {
        .object([
            .init("subnets", .strings(subnets)), .init("addresses", .strings(addresses)),
            .init("backend", .string(backend)), .init("path", path.map(JSONValue.string) ?? .null),
            .init("mtu", .integer(mtu)), .init("age", .integer(age)),
            .init("problem", problem.map(JSONValue.string) ?? .null),
        ])
    }

    fileprivate init(json: JSONValue) throws(FieldError) {
        self.init(
            subnets: try json.strings("subnets"), addresses: try json.strings("addresses"),
            backend: try json.required("backend"), path: try json.string("path"), mtu: try json.number("mtu"),
            age: try json.number("age"), problem: try json.string("problem"))
    }
}

extension StatusReport.IgnoredKey {
    fileprivate var json: JSONValue {
        .object([.init("name", .string(name)), .init("reason", .string(reason))])
    }

    fileprivate init(json: JSONValue) throws(FieldError) {
        self.init(name: try json.required("name"), reason: try json.required("reason"))
    }
}

extension JSONValue {
    fileprivate static func integer(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }

    fileprivate static func strings(_ values: [String]) -> JSONValue { .array(values.map(JSONValue.string)) }

    fileprivate func required(_ name: String) throws(FieldError) -> String {
        guard let text = try string(name) else { throw FieldError(path: name, value: nil, allowed: "a string") }
        return text
    }

    fileprivate func number<Number: FixedWidthInteger>(_ name: String) throws(FieldError) -> Number {
        guard case .number(let text)? = self[name], let number = Number(text) else {
            throw FieldError(path: name, value: self[name]?.excerpt, allowed: "a whole number")
        }
        return number
    }

    fileprivate func strings(_ name: String) throws(FieldError) -> [String] {
        try list(name) { value throws(FieldError) in
            guard case .string(let text) = value else {
                throw FieldError(path: name, value: value.excerpt, allowed: "a list of strings")
            }
            return text
        }
    }

    fileprivate func list<Element>(
        _ name: String, _ read: (JSONValue) throws(FieldError) -> Element
    ) throws(FieldError) -> [Element] {
        guard case .array(let values)? = self[name] else {
            throw FieldError(path: name, value: self[name]?.excerpt, allowed: "a list")
        }
        var elements: [Element] = []
        elements.reserveCapacity(values.count)
        for value in values { elements.append(try read(value)) }
        return elements
    }
}
