import CLinux
import Firewall
import Logging
import Netlink

/// Tells the firewall keeper that somebody changed a rule: nftables' notifications, which iptables-nft's changes cause
/// too. Those of iptables-legacy have none; the keeper's regular check finds them.
struct FirewallEvents: Sendable {
    let firewall: FirewallKeeper
    let logger: Logger

    func run() async {
        do {
            let messages = try NetlinkMessages(protocol: NETLINK_NETFILTER, groups: [UInt32(NFNLGRP_NFTABLES.rawValue)])
            for await _ in messages { firewall.noteChange() }
        } catch {
            logger.info(
                "no notifications of firewall changes; relying on the regular check", metadata: ["error": "\(error)"])
            try? await Task.sleep(for: .seconds(Int64.max / 2))
        }
    }
}
