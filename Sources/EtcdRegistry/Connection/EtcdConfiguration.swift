import Glibc

/// How the registry is reached and how leases are kept in it; checked when it is made.
public struct EtcdConfiguration: Sendable {
    /// In the order in which they are tried.
    public let endpoints: [EtcdEndpoint]
    /// With a slash in front and none behind: `/coreos.com/network`.
    public let prefix: String
    /// Used by `https` endpoints only.
    public let tls: EtcdTLS
    /// `nil` when etcd asks for no user.
    public let credentials: EtcdCredentials?
    /// The time to live of a lease that is made, at least a second. flannel's is a day.
    public let leaseTimeToLive: Duration
    /// How long before its end a lease is renewed.
    public let renewMargin: Duration
    /// How long a connection and a request may take.
    public let requestTimeout: Duration

    /// - Parameters:
    ///   - endpoints: URLs, as of flag `etcd-endpoints`.
    ///   - renewMargin: 1 to 1439 minutes with the default time to live; always less than it.
    public init(
        endpoints: [String], prefix: String = "/coreos.com/network", tls: EtcdTLS = EtcdTLS(),
        credentials: EtcdCredentials? = nil, leaseTimeToLive: Duration = .seconds(86400),
        renewMargin: Duration = .seconds(3600), requestTimeout: Duration = .seconds(5)
    ) throws(EtcdConfigurationError) {
        var parsed: [EtcdEndpoint] = []
        for text in endpoints {
            let endpoint = try EtcdEndpoint(text)
            if !parsed.contains(endpoint) { parsed.append(endpoint) }
        }
        guard !parsed.isEmpty else {
            throw EtcdConfigurationError(
                field: "etcd-endpoints", value: "", allowed: "one URL or more with commas, such as http://10.0.0.1:2379"
            )
        }
        let parts = prefix.split(separator: "/")
        guard !parts.isEmpty else {
            throw EtcdConfigurationError(
                field: "etcd-prefix", value: prefix, allowed: "a path with at least one component")
        }
        guard renewMargin > .zero, renewMargin < leaseTimeToLive else {
            throw EtcdConfigurationError(
                field: "subnet-lease-renew-margin", value: "\(renewMargin.components.seconds / 60)",
                allowed: "1 to \(leaseTimeToLive.components.seconds / 60 - 1) minutes")
        }
        try tls.check()
        self.endpoints = parsed
        self.prefix = "/" + parts.joined(separator: "/")
        self.tls = tls
        self.credentials = credentials
        self.leaseTimeToLive = leaseTimeToLive
        self.renewMargin = renewMargin
        self.requestTimeout = requestTimeout
    }
}

/// A user of etcd's own authentication.
public struct EtcdCredentials: Sendable {
    /// The name, as etcd knows it.
    public let user: String
    /// In plain text; kept out of descriptions and mirrors.
    public let password: String

    /// Neither is checked before etcd sees it.
    public init(user: String, password: String) {
        self.user = user
        self.password = password
    }
}

/// The password must not get into a log by way of a whole configuration.
extension EtcdCredentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The user alone.
    public var description: String { "user \(user)" }
    /// The user alone, as `description`.
    public var debugDescription: String { description }
    /// The user alone.
    public var customMirror: Mirror { Mirror(self, children: ["user": user]) }
}

/// Files in PEM form for https endpoints.
public struct EtcdTLS: Sendable {
    /// Certificates of the authorities that may have signed the server's; `nil` for the system's.
    public let caFile: String?
    /// This client's certificate and those that link it to an authority.
    public let certificateFile: String?
    /// The key of `certificateFile`; both or neither.
    public let keyFile: String?

    /// Paths; the files are not read here. All `nil` is a plain https client that trusts the system's authorities.
    public init(caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }

    func check() throws(EtcdConfigurationError) {
        switch (certificateFile, keyFile) {
        case (let certificate?, nil):
            throw EtcdConfigurationError(
                field: "etcd-keyfile", value: "", allowed: "the key file that belongs to etcd-certfile \(certificate)")
        case (nil, let key?):
            throw EtcdConfigurationError(
                field: "etcd-certfile", value: "", allowed: "the certificate file that belongs to etcd-keyfile \(key)")
        default: break
        }
        for (field, path) in [
            ("etcd-cafile", caFile), ("etcd-certfile", certificateFile), ("etcd-keyfile", keyFile),
        ] {
            guard let path, access(path, R_OK) != 0 else { continue }
            let code = errno
            throw EtcdConfigurationError(
                field: field, value: path,
                allowed: code == ENOENT ? "a file that exists" : "a file that this process may read")
        }
    }
}
