import Firewall
import IPNetwork
import Logging

/// `weftd --remove-rules`: what stopping leaves in place on purpose, taken away.
public struct FirewallRemoval: Sendable {
    /// Needs neither settings nor a registry.
    public init() {}

    /// Removes what stands in the chains FLANNEL-POSTRTG and FLANNEL-FWD and in the tables flannel-ipv4 and flannel-ipv6,
    /// and these with the jumps to them, from every plane and family. The rules of networks that a running weftd on this
    /// host serves stay, and so does all else.
    ///
    /// - Returns: a line for the operator.
    /// - Throws: ``FirewallError`` when something could not be read or removed.
    public func run() async throws(FirewallError) -> String {
        let kept = HostClaims.networks.sorted()
        let keeper = FirewallKeeper(logger: Logger(label: "remove") { _ in SwiftLogNoOpLogHandler() })
        let count = try await keeper.removeEverything(keeping: kept)
        let text = count == 0 ? "no firewall rule of weftd's was there" : "weftd's firewall rules are removed"
        if kept.isEmpty { return text }
        let networks = kept.map(\.description).joined(separator: ", ")
        return "\(text); those of \(networks) stay, which a running weftd serves"
    }
}
