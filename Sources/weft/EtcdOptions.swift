import ArgumentParser
import EtcdRegistry
import Glibc

/// flannel's flags for etcd, with their variables.
struct EtcdOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "etcd servers, separated by commas. (default: \(Self.defaultEndpoints))", valueName: "urls"))
    var etcdEndpoints: String?

    @Option(help: ArgumentHelp("Key under which the network is kept. (default: /coreos.com/network)", valueName: "key"))
    var etcdPrefix: String?

    @Option(help: ArgumentHelp("Private key for TLS to etcd.", valueName: "path"))
    var etcdKeyfile: String?

    @Option(help: ArgumentHelp("Client certificate for TLS to etcd.", valueName: "path"))
    var etcdCertfile: String?

    @Option(help: ArgumentHelp("Certificate authority that etcd's certificate is checked with.", valueName: "path"))
    var etcdCafile: String?

    @Option(help: ArgumentHelp("User of etcd.", valueName: "name"))
    var etcdUsername: String?

    @Option(help: ArgumentHelp("Its password; better in the variable, which ps does not show.", valueName: "password"))
    var etcdPassword: String?

    static let defaultEndpoints = "http://127.0.0.1:4001,http://127.0.0.1:2379"

    /// - Parameter endpoints: others than of the options.
    /// - Throws: ``EtcdConfigurationError``, or a `ValidationError` about a prefix.
    func configuration(endpoints: String? = nil, prefix: String? = nil) throws -> EtcdConfiguration {
        let list = endpoints ?? value(etcdEndpoints, "etcd-endpoints") ?? Self.defaultEndpoints
        let user = value(etcdUsername, "etcd-username")
        let prefix = prefix ?? value(etcdPrefix, "etcd-prefix") ?? "/coreos.com/network"
        guard prefix.hasPrefix("/") else {
            throw EtcdConfigurationError(field: "etcd-prefix", value: prefix, allowed: "a key that begins with /")
        }
        return try EtcdConfiguration(
            endpoints: list.split(separator: ",").map { $0.trimmed }, prefix: prefix,
            tls: EtcdTLS(
                caFile: value(etcdCafile, "etcd-cafile"), certificateFile: value(etcdCertfile, "etcd-certfile"),
                keyFile: value(etcdKeyfile, "etcd-keyfile")),
            credentials: user.map { EtcdCredentials(user: $0, password: value(etcdPassword, "etcd-password") ?? "") })
    }

    /// The option, else its variable; empty ones are taken for missing, as unit files pass them.
    private func value(_ option: String?, _ name: String) -> String? {
        let variable = "FLANNELD_" + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
        let text = option ?? getenv(variable).map { String(cString: $0) }
        return text.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
