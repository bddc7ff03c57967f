import EtcdRegistry
import Glibc

extension Flag {
    /// How the registry is reached and the lease kept.
    static let registry: [Flag] = [
        Flag(
            "etcd-endpoints", "etcd servers, separated by commas",
            default: "http://127.0.0.1:4001,http://127.0.0.1:2379",
            .text(placeholder: "URLS") { configuration, value in
                let endpoints = value.split(separator: ",").map { trimmed($0) }.filter { !$0.isEmpty }
                guard !endpoints.isEmpty, endpoints.allSatisfy(isEndpoint) else {
                    return "http://HOST:PORT or https://HOST:PORT, separated by commas"
                }
                configuration.etcdEndpoints = endpoints
                return nil
            }),
        Flag(
            "etcd-prefix", "key under which the network is kept", default: "/coreos.com/network",
            .text(placeholder: "KEY") { configuration, value in
                // flannel cleans the path, so that a slash too many does no harm.
                let parts = value.split(separator: "/")
                guard value.hasPrefix("/"), !parts.isEmpty, !parts.contains(".."), !parts.contains(".") else {
                    return "a key that begins with /, such as /coreos.com/network"
                }
                configuration.etcdPrefix = "/" + parts.joined(separator: "/")
                return nil
            }),
        Flag(
            "etcd-api", "API of etcd that holds the network: v2, v3 or auto", default: "auto", since: nil,
            .text(placeholder: "API") { configuration, value in
                guard let version = EtcdAPIVersion(rawValue: value) else { return "v2, v3 or auto" }
                configuration.etcdAPI = version
                return nil
            }),
        Flag("etcd-keyfile", "private key for TLS to etcd", .optional(\.etcdKeyFile)),
        Flag("etcd-certfile", "client certificate for TLS to etcd", .optional(\.etcdCertificateFile)),
        Flag("etcd-cafile", "certificate authority that etcd's certificate is checked with", .optional(\.etcdCAFile)),
        Flag("etcd-username", "user of etcd", .optional(\.etcdUsername, placeholder: "NAME")),
        Flag(
            "etcd-password", "its password; better in the variable, which ps does not show",
            .optional(\.etcdPassword, placeholder: "PASSWORD")),
        Flag(
            "subnet-lease-renew-margin", "minutes before its end that the lease is renewed", default: "60",
            .integer(\.renewMargin, in: 1...1439, placeholder: "MINUTES")),
    ]

    /// `HOST:PORT` alone means http, as to etcd's own client; the registry looks closer.
    private static func isEndpoint(_ text: String) -> Bool {
        if let scheme = ["http://", "https://"].first(where: text.hasPrefix) { return text != scheme }
        return text.utf8.contains(UInt8(ascii: ":")) && !text.contains("/")
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
