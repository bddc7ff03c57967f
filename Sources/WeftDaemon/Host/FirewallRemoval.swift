import Firewall
import Logging

/// `weftd --remove-rules`: what stopping leaves in place on purpose, taken away.
public struct FirewallRemoval: Sendable {
    /// Needs neither settings nor a registry.
    public init() {}

    /// Removes the chains FLANNEL-POSTRTG and FLANNEL-FWD with the jumps to them and the tables flannel-ipv4 and
    /// flannel-ipv6, from every plane and family, and leaves all else.
    ///
    /// - Returns: a line for the operator.
    /// - Throws: ``FirewallError`` when something could not be read or removed.
    public func run() async throws(FirewallError) -> String {
        let keeper = FirewallKeeper(logger: Logger(label: "remove") { _ in SwiftLogNoOpLogHandler() })
        let count = try await keeper.removeEverything()
        return count == 0 ? "no firewall rule of weftd's was there" : "weftd's firewall rules are removed"
    }
}
