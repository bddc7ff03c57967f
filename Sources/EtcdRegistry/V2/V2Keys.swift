import Leases

/// The keys of one network in etcd's v2 store, and their paths in URLs.
struct V2Keys: Sendable {
    let config: String
    /// The directory, without a slash at its end.
    let subnets: String

    /// - Parameter prefix: with a slash in front and none behind.
    init(prefix: String) {
        config = "\(prefix)/config"
        subnets = "\(prefix)/subnets"
    }

    func subnet(_ name: String) -> String { "\(subnets)/\(name)" }

    /// The name of a key that is directly under ``subnets``; `nil` for any other key. flannel makes no deeper ones.
    func name(_ key: String) -> String? {
        guard key.utf8.count > subnets.utf8.count + 1, key.hasPrefix(subnets) else { return nil }
        let rest = key.utf8.dropFirst(subnets.utf8.count)
        guard rest.first == UInt8(ascii: "/"), !rest.dropFirst().contains(UInt8(ascii: "/")) else { return nil }
        return String(rest.dropFirst())
    }

    /// The lease in a node; `nil` when it is a directory, or lies elsewhere.
    ///
    /// Of a value over the limit just enough is kept for it to be refused: megabytes may lie there.
    func record(_ node: V2Node) -> LeaseRecord? {
        guard !node.isDirectory, let name = name(node.key) else { return nil }
        return LeaseRecord(
            name: name, value: [UInt8]((node.value ?? "").utf8.prefix(LeaseCodec.sizeLimit + 1)),
            createRevision: node.createdIndex, modRevision: node.modifiedIndex, isReservation: !node.hasTimeToLive)
    }
}

/// Text in URLs and forms.
enum PercentEncoding {
    /// Everything but letters, digits and `-._~` as `%XX`, so that it means itself in a path, a query and a form: a lease
    /// of two families has a `&` in its name.
    static func encode(_ text: some Sequence<UInt8>, keeping kept: [UInt8] = []) -> String {
        var output: [UInt8] = []
        for byte in text {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                output.append(byte)
            case _ where kept.contains(byte): output.append(byte)
            default:
                output.append(UInt8(ascii: "%"))
                output.append(digit(byte >> 4))
                output.append(digit(byte & 15))
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// A key as the path of a URL: its slashes stay.
    static func path(_ key: String) -> String { encode(key.utf8, keeping: [UInt8(ascii: "/")]) }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}
