import IPNetwork

/// A flag of flannel's command line, as data.
struct Flag: Sendable {
    enum Value: Sendable {
        /// `-name` is true; `-name=false` as Go's flag package.
        case boolean(@Sendable (inout DaemonConfiguration, Bool) -> Void)
        /// `-name value` or `-name=value`. Returns what is allowed when the value isn't.
        case text(placeholder: String, @Sendable (inout DaemonConfiguration, String) -> String?)
    }

    let name: String
    let help: String
    /// What applies without the flag, as the help shows it.
    let defaultText: String
    let value: Value
    /// Whether there is a variable for it.
    let hasVariable: Bool

    init(_ name: String, _ help: String, default defaultText: String = "", variable: Bool = true, _ value: Value) {
        self.name = name
        self.help = help
        self.defaultText = defaultText
        self.value = value
        hasVariable = variable
    }

    /// `FLANNELD_ETCD_ENDPOINTS` for `etcd-endpoints`.
    var variable: String { "FLANNELD_" + name.uppercased().split(separator: "-").joined(separator: "_") }
}

extension Flag {
    /// The flags of flanneld that this version has, in the order of `--help`. Names, defaults and meanings are flannel's.
    static let all: [Flag] = registry + host + dataPlane + operation

    private static let registry: [Flag] = [
        Flag(
            "etcd-endpoints", "etcd servers, separated by commas",
            default: "http://127.0.0.1:4001,http://127.0.0.1:2379",
            .text(placeholder: "URLS") { configuration, value in
                let endpoints = value.split(separator: ",").map { trimmed($0) }
                guard !endpoints.isEmpty, endpoints.allSatisfy(isEndpoint) else {
                    return "http://HOST:PORT or https://HOST:PORT, separated by commas"
                }
                configuration.etcdEndpoints = endpoints
                return nil
            }),
        Flag(
            "etcd-prefix", "key under which the network is kept", default: "/coreos.com/network",
            .text(placeholder: "KEY") { configuration, value in
                guard value.hasPrefix("/"), value.count > 1, !value.hasSuffix("/") else {
                    return "a key that begins with / and does not end with it"
                }
                configuration.etcdPrefix = value
                return nil
            }),
        Flag("etcd-keyfile", "private key for TLS to etcd", file(\.etcdKeyFile)),
        Flag("etcd-certfile", "client certificate for TLS to etcd", file(\.etcdCertificateFile)),
        Flag("etcd-cafile", "certificate authority that etcd's certificate is checked with", file(\.etcdCAFile)),
        Flag("etcd-username", "user of etcd", file(\.etcdUsername, placeholder: "NAME")),
        Flag(
            "etcd-password", "its password; better in the variable, which ps does not show",
            file(\.etcdPassword, placeholder: "PASSWORD")),
        Flag(
            "subnet-lease-renew-margin", "minutes before its end that the lease is renewed", default: "60",
            integer(\.renewMargin, in: 1...1439, placeholder: "MINUTES")),
    ]

    private static let host: [Flag] = [
        Flag(
            "iface", "external interface, by name or address; the first that exists",
            .text(placeholder: "NAME|IP") { configuration, value in
                guard !value.isEmpty else { return "an interface's name or address" }
                configuration.interfaces.append(value)
                return nil
            }),
        Flag(
            "iface-regex", "expression that its name or address matches; after --iface",
            .text(placeholder: "REGEX") { configuration, value in
                guard (try? Regex(value)) != nil else { return "a regular expression" }
                configuration.interfaceExpressions.append(value)
                return nil
            }),
        Flag(
            "public-ip", "address at which other hosts reach this one, behind NAT",
            .text(placeholder: "IP") { configuration, value in
                guard let address = IPv4Address(value), address.isUsableHostAddress else {
                    return "an IPv4 address that other hosts can reach"
                }
                configuration.publicIP = address
                return nil
            }),
        Flag(
            "subnet-file", "file that tells the container engine its subnet", default: "/run/flannel/subnet.env",
            .text(placeholder: "PATH") { configuration, value in
                guard value.hasPrefix("/"), !value.hasSuffix("/") else { return "an absolute path of a file" }
                configuration.subnetFile = value
                return nil
            }),
    ]

    private static let dataPlane: [Flag] = [
        Flag(
            "ip-masq", "masquerade what leaves the overlay", default: "false",
            .boolean { $0.masquerade = $1 }),
        Flag(
            "iptables-forward-rules", "let the firewall forward from and to the overlay", default: "true",
            .boolean { $0.forwardRules = $1 }),
        Flag(
            "iptables-resync", "seconds between two checks of the firewall rules", default: "5",
            integer(\.firewallResync, in: 0...86_400, placeholder: "SECONDS")),
    ]

    private static let operation: [Flag] = [
        Flag(
            "healthz-ip", "address of the health server", default: "0.0.0.0",
            .text(placeholder: "IP") { configuration, value in
                guard let address = IPAddress(value) else { return "an IP address" }
                configuration.healthAddress = address
                return nil
            }),
        Flag(
            "healthz-port", "port of the health server; 0 is none", default: "0",
            integer(\.healthPort, in: 0...65_535, placeholder: "PORT")),
        Flag(
            "v", "how much to log: 0 events, 1 details, 2 all", default: "0",
            integer(\.verbosity, in: 0...10, placeholder: "LEVEL")),
        Flag(
            "check", "say what a start would find and do; change nothing",
            variable: false, .boolean { $0.mode = $1 ? .check : $0.mode }),
        Flag("version", "print the version", variable: false, .boolean { $0.mode = $1 ? .version : $0.mode }),
        Flag("help", "print this", variable: false, .boolean { $0.mode = $1 ? .help : $0.mode }),
        Flag("h", "the same", variable: false, .boolean { $0.mode = $1 ? .help : $0.mode }),
    ]

    private static func integer(
        _ path: WritableKeyPath<DaemonConfiguration, Int> & Sendable, in range: ClosedRange<Int>, placeholder: String
    ) -> Value {
        .text(placeholder: placeholder) { configuration, value in
            guard let number = Int(value), range.contains(number) else {
                return "a whole number from \(range.lowerBound) to \(range.upperBound)"
            }
            configuration[keyPath: path] = number
            return nil
        }
    }

    private static func file(
        _ path: WritableKeyPath<DaemonConfiguration, String?> & Sendable, placeholder: String = "PATH"
    ) -> Value {
        .text(placeholder: placeholder) { configuration, value in
            // Unit files pass an empty variable where nothing is set.
            configuration[keyPath: path] = value.isEmpty ? nil : value
            return nil
        }
    }

    private static func isEndpoint(_ text: String) -> Bool {
        ["http://", "https://"].contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
