import IPNetwork

/// Where an etcd member listens for clients.
public struct EtcdEndpoint: Hashable, Sendable {
    /// A DNS name or the text of an address, IPv6 without brackets.
    public let host: String
    /// 1 to 65535.
    public let port: Int
    /// Whether the URL says `https`.
    public let usesTLS: Bool

    /// The port that IANA gave to etcd's clients.
    public static let defaultPort = 2379

    /// Parses `http://HOST[:PORT]`, `https://HOST[:PORT]` or `HOST:PORT`, which means http as for etcd's own client.
    public init(_ text: String) throws(EtcdConfigurationError) {
        func refused(_ reason: String) -> EtcdConfigurationError {
            EtcdConfigurationError(
                field: "etcd-endpoints", value: text.withoutUserInformation,
                allowed: "\(reason), for example http://10.0.0.1:2379")
        }
        var rest = text[...]
        if let scheme = rest.range(ofText: "://") {
            switch rest[..<scheme.lowerBound].lowercased() {
            case "http": usesTLS = false
            case "https": usesTLS = true
            default: throw refused("http:// or https://")
            }
            rest = rest[scheme.upperBound...]
        } else {
            usesTLS = false
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.contains("@") else {
            throw refused("a host without a user, which goes to etcd-username and etcd-password")
        }
        guard !rest.isEmpty, rest.utf8.allSatisfy({ $0 > 32 && $0 < 127 && !"/?#@,\"".utf8.contains($0) }) else {
            throw refused("a host and a port and nothing else")
        }
        let portText: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]"),
                IPv6Address(String(rest[rest.index(after: rest.startIndex)..<end])) != nil
            else { throw refused("an IPv6 address in brackets") }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let tail = rest[rest.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw refused("a port after the bracket") }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else {
            let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let name = parts.first, !name.isEmpty else {
                throw refused("a host and a port, an IPv6 address in brackets")
            }
            host = String(name)
            portText = parts.count == 2 ? parts[1] : nil
        }
        guard let portText else {
            port = Self.defaultPort
            return
        }
        guard let number = UInt16(portText), number > 0, portText.first != "+" else {
            throw refused("a port of 1 to 65535")
        }
        port = Int(number)
    }
}

extension EtcdEndpoint: CustomStringConvertible {
    /// As a URL.
    public var description: String {
        "\(usesTLS ? "https" : "http")://\(host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host):\(port)"
    }
}

extension String {
    /// Without the user and the password of a URL, or what is in their place: the text goes to a log.
    fileprivate var withoutUserInformation: String {
        guard let end = lastIndex(of: "@") else { return self }
        let scheme = self[..<end].range(ofText: "://").map { self[..<$0.upperBound] } ?? ""
        return scheme + "***" + self[end...]
    }
}

extension Substring {
    /// The first occurrence of an ASCII text; Foundation has one of its own, which stays out.
    fileprivate func range(ofText text: String) -> Range<Index>? {
        indices.lazy.map { ($0, self[$0...]) }.first { $0.1.hasPrefix(text) }.map { start, tail in
            start..<(tail.index(start, offsetBy: text.count, limitedBy: tail.endIndex) ?? tail.endIndex)
        }
    }
}
