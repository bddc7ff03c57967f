import IPNetwork
import Leases

/// What etcd says about its members.
enum EtcdMembers {
    /// The client URLs in the answer to `/v2/members`. A member that never ran has none.
    static func clientURLs(_ answer: [UInt8]) throws(V2MalformedAnswer) -> [String] {
        let root = try JSONValue(answer: answer)
        guard case .array(let members)? = root["members"] else {
            throw V2MalformedAnswer(reason: "no list of members: \(root.excerpt)")
        }
        return members.flatMap { member -> [String] in
            guard case .array(let urls)? = member["clientURLs"] else { return [] }
            return urls.compactMap(\.text)
        }
    }

    /// Those that a client elsewhere may try when no configured one answers, at most eight.
    ///
    /// Members often advertise what is right on their own host or network alone. So none takes the place of a configured
    /// one; and none gets a password without TLS where the configured ones have it.
    static func fallbacks(_ clientURLs: [String], configured: [EtcdEndpoint]) -> [EtcdEndpoint] {
        let allTLS = configured.allSatisfy(\.usesTLS)
        let anyLoopback = configured.contains { isLoopback($0.host) }
        var result: [EtcdEndpoint] = []
        for url in clientURLs.sorted() {
            guard let endpoint = try? EtcdEndpoint(url), !configured.contains(endpoint), !result.contains(endpoint),
                endpoint.usesTLS || !allTLS, !isUnspecified(endpoint.host), anyLoopback || !isLoopback(endpoint.host),
                result.count < 8
            else { continue }
            result.append(endpoint)
        }
        return result
    }

    private static func isLoopback(_ host: String) -> Bool {
        if let address = IPv4Address(host) { return IPv4Prefix("127.0.0.0/8")?.contains(address) ?? false }
        return host == "localhost" || IPv6Address(host).map { $0.description == "::1" } ?? false
    }

    private static func isUnspecified(_ host: String) -> Bool {
        IPv4Address(host) == .any || IPv6Address(host) == .any
    }
}
