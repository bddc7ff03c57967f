import EtcdRegistry
import IPNetwork
import LinuxSystem

/// Everything that the command line and the environment say, checked.
public struct DaemonConfiguration: Hashable, Sendable {
    /// What the process is started for.
    public enum Mode: Hashable, Sendable {
        case run
        /// Check everything, change nothing, say what would happen.
        case check
        /// Take away every firewall rule of Weft's.
        case removeRules
        case help
        case version
    }

    /// To run, unless a flag says otherwise.
    public var mode = Mode.run

    /// URLs, tried in order; etcd's old port first, as flannel has it.
    public var etcdEndpoints = ["http://127.0.0.1:4001", "http://127.0.0.1:2379"]
    /// Begins with a slash and does not end with one.
    public var etcdPrefix = "/coreos.com/network"
    /// Which of etcd's APIs holds the network.
    public var etcdAPI = EtcdAPIVersion.auto
    /// A path; goes with `etcdCertificateFile`.
    public var etcdKeyFile: String?
    /// A path; goes with `etcdKeyFile`.
    public var etcdCertificateFile: String?
    /// A path; `nil` for the system's authorities.
    public var etcdCAFile: String?
    /// `nil` when etcd asks for no user.
    public var etcdUsername: String?
    /// Goes with `etcdUsername`; never to be logged.
    public var etcdPassword: String?

    /// Names or addresses of the external interface, tried in order.
    public var interfaces: [String] = []
    /// Expressions that the external interface's name or address matches, tried in order after `interfaces`.
    public var interfaceExpressions: [InterfaceExpression] = []
    /// An address; the interface that the kernel would send to it by is tried after `interfaceExpressions`.
    public var interfaceReaching: IPAddress?
    /// Where other hosts reach this one; `nil` takes the external interface's address.
    public var publicIP: IPv4Address?
    /// The same over IPv6.
    public var publicIPv6: IPv6Address?

    /// An absolute path.
    public var subnetFile = "/run/flannel/subnet.env"
    /// Minutes before its end that a lease is renewed, 1 to 1439.
    public var renewMargin = 60

    /// Masquerade what leaves the overlay.
    public var masquerade = false
    /// Do not choose source ports of masqueraded connections at random.
    public var keepsSourcePorts = false
    /// Drop packets to addresses of the own subnet that no container has.
    public var blackholeRoute = false
    /// Let the firewall forward from and to the overlay.
    public var forwardRules = true
    /// Seconds between two checks of the firewall rules; 0 checks on a change only.
    public var firewallResync = 5

    /// Where the health server listens, when there is one.
    public var healthAddress = IPAddress.v4(.any)
    /// 0: no health server.
    public var healthPort = 0

    /// Where `weft status` asks: beside the subnet file, which no two daemons share, unless said otherwise.
    public var statusSocket: String { statusSocketPath ?? "\(subnetFile).sock" }
    /// An absolute path.
    public var statusSocketPath: String?

    /// glog's level: 0 and less events, 1 and more details.
    public var verbosity = 0

    /// What was given and has no effect, each once, in the order of giving.
    public private(set) var unused: [UnusedSetting] = []

    mutating func note(_ setting: UnusedSetting) {
        if !unused.contains(where: { $0.name == setting.name }) { unused.append(setting) }
    }

    /// flannel's defaults.
    public init() {}
}

/// A command line or an environment variable that cannot be used.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One line: the flag or variable, the value, what is allowed.
    public let description: String
    /// The line as given.
    public init(_ description: String) { self.description = description }
}
