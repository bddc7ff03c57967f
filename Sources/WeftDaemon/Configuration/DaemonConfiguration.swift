import IPNetwork
import LinuxSystem

/// Everything that the command line and the environment say, checked.
public struct DaemonConfiguration: Hashable, Sendable {
    public enum Mode: Hashable, Sendable {
        case run
        /// Check everything, change nothing, say what would happen.
        case check
        case help
        case version
    }

    public var mode = Mode.run

    public var etcdEndpoints = ["http://127.0.0.1:4001", "http://127.0.0.1:2379"]
    public var etcdPrefix = "/coreos.com/network"
    public var etcdKeyFile: String?
    public var etcdCertificateFile: String?
    public var etcdCAFile: String?
    public var etcdUsername: String?
    public var etcdPassword: String?

    /// Names or addresses of the external interface, tried in order.
    public var interfaces: [String] = []
    /// Expressions that the external interface's name or address matches, tried in order after `interfaces`.
    public var interfaceExpressions: [String] = []
    public var publicIP: IPv4Address?

    public var subnetFile = "/run/flannel/subnet.env"
    /// Minutes before its end that a lease is renewed, 1 to 1439.
    public var renewMargin = 60

    public var masquerade = false
    public var forwardRules = true
    /// Seconds between two checks of the firewall rules; 0 checks on a change only.
    public var firewallResync = 5

    public var healthAddress = IPAddress.v4(.any)
    /// 0: no health server.
    public var healthPort = 0

    /// glog's level: 0 events, 1 and more details.
    public var verbosity = 0

    public init() {}
}

/// A command line or an environment variable that cannot be used.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One line: the flag or variable, the value, what is allowed.
    public let description: String
    public init(_ description: String) { self.description = description }
}
