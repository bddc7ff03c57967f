import Logging

/// Which of etcd's two APIs holds the network. Their stores have nothing in common: a key of one is not in the other.
public enum EtcdAPIVersion: String, CaseIterable, Hashable, Sendable {
    /// HTTP and JSON; flannel up to v0.17.
    case v2
    /// gRPC; flannel from v0.18 on.
    case v3
    /// The one that holds a network config.
    case auto

    /// A store that speaks it. Nothing is connected yet.
    public func store(configuration: EtcdConfiguration, logger: Logger) -> any SubnetStore {
        switch self {
        case .v2: V2SubnetStore(configuration: configuration, logger: logger)
        case .v3: V3SubnetStore(configuration: configuration, logger: logger)
        case .auto: AutoSubnetStore(configuration: configuration, logger: logger)
        }
    }

    /// An operator's command that puts an example config for VXLAN; of `auto` that for v3.
    public func configCommand(key: String) -> String {
        let verb = self == .v2 ? "ETCDCTL_API=2 etcdctl set" : "etcdctl put"
        return "\(verb) \(key) '{\"Network\":\"10.5.0.0/16\",\"Backend\":{\"Type\":\"vxlan\"}}'"
    }
}
