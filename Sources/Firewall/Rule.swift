import IPNetwork
import LinuxSystem

/// One rule in the terms that both tools share.
struct Rule: Hashable {
    /// A prefix to be in, or to be outside of.
    enum Match: Hashable {
        case inside(IPPrefix)
        case outside(IPPrefix)
    }

    enum Verdict: Hashable {
        case accept
        case drop
        /// Leave the chain; what follows in the calling chain decides.
        case `return`
        case masquerade(randomFully: Bool)
    }

    var source: Match?
    var destination: Match?
    var input: InterfaceName?
    var output: InterfaceName?
    /// The packet carries the mark that kube-proxy sets on what it will masquerade itself.
    var hasKubeProxyMark = false
    var verdict: Verdict
}

extension Ruleset {
    /// The mark and its mask: kube-proxy's default `--iptables-masquerade-bit=14`.
    static let kubeProxyMark: UInt32 = 0x4000

    /// The postrouting rules in order; empty when nothing is masqueraded.
    ///
    /// The order is stock's. Where stock v0.28 returns for overlay traffic only if one end is in our own subnet, this
    /// returns for all of it, as stock v0.20 does: a host that routes between two others must not hide their addresses.
    func postroutingRules(_ family: IPFamily) -> [Rule] {
        guard masquerade, let overlay = overlay(family) else { return [] }
        let network = overlay.network
        let hide = Rule.Verdict.masquerade(randomFully: randomFully)
        var rules = [
            // kube-proxy masquerades these itself; doing it twice loses packets on some kernels (flannel 1279).
            Rule(hasKubeProxyMark: true, verdict: .return),
            // What stays on this host is delivered with the address it was sent from.
            Rule(output: InterfaceName("lo"), verdict: .return),
            Rule(source: .inside(network), destination: .inside(network), verdict: .return),
        ]
        // A host outside the overlay that routes to our containers is seen by them as itself.
        rules += overlay.ownSubnets.map {
            Rule(source: .outside(network), destination: .inside($0), verdict: .return)
        }
        rules.append(
            Rule(source: .inside(network), destination: family.multicast.map(Rule.Match.outside), verdict: hide))
        // The host's own traffic to another host's containers: its address may have no route back over the overlay.
        rules.append(Rule(source: .outside(network), destination: .inside(network), verdict: hide))
        return rules
    }

    /// The forward rules in order; empty when forwarding is left alone.
    func forwardRules(_ family: IPFamily) -> [Rule] {
        guard forward, let overlay = overlay(family) else { return [] }
        var rules: [Rule] = []
        for lost in overlay.lostSubnets {
            for interface in Set(peerInterfaces).sorted() {
                rules.append(Rule(source: .inside(lost), input: interface, verdict: .accept))
                rules.append(Rule(destination: .inside(lost), output: interface, verdict: .accept))
            }
            rules.append(Rule(source: .inside(lost), verdict: .drop))
            rules.append(Rule(destination: .inside(lost), verdict: .drop))
        }
        rules.append(Rule(source: .inside(overlay.network), verdict: .accept))
        rules.append(Rule(destination: .inside(overlay.network), verdict: .accept))
        return rules
    }
}
