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

    /// The postrouting rules; empty when nothing is masqueraded.
    ///
    /// Their order is that of stock v0.20. Where v0.28 returns for overlay traffic only if one end is in our own subnet,
    /// this returns for all of it, as v0.20 does: a host that routes between two others must not hide their addresses.
    ///
    /// With several networks on a host a packet is masqueraded when the rules of one of them alone would do so, whichever
    /// daemon came first: a late rule that returns stands behind every early one that masquerades.
    func postroutingRules(_ family: IPFamily) -> ChainRules<Rule> {
        // kube-proxy masquerades these itself; doing it twice loses packets on some kernels (flannel 1279).
        let mark = Rule(hasKubeProxyMark: true, verdict: .return)
        // What stays on this host is delivered with the address it was sent from.
        let loopback = Rule(output: InterfaceName("lo"), verdict: .return)
        var rules = ChainRules(common: [mark, loopback])
        guard masquerade, let overlay = overlay(family) else { return rules }
        let network = overlay.network
        let hide = Rule.Verdict.masquerade(randomFully: randomFully)
        rules.early = [
            Rule(source: .inside(network), destination: .inside(network), verdict: .return),
            Rule(source: .inside(network), destination: family.multicast.map(Rule.Match.outside), verdict: hide),
        ]
        // A host outside the overlay that routes to our containers is seen by them as itself.
        rules.late = overlay.ownSubnets.map {
            Rule(source: .outside(network), destination: .inside($0), verdict: .return)
        }
        // The host's own traffic to another host's containers: its address may have no route back over the overlay.
        rules.late.append(Rule(source: .outside(network), destination: .inside(network), verdict: hide))
        return rules
    }

    /// The forward rules; empty when forwarding is left alone. What is dropped comes before what any network accepts.
    func forwardRules(_ family: IPFamily) -> ChainRules<Rule> {
        var rules = ChainRules<Rule>()
        guard forward, let overlay = overlay(family) else { return rules }
        for lost in overlay.lostSubnets {
            for interface in Set(peerInterfaces).sorted() {
                rules.early.append(Rule(source: .inside(lost), input: interface, verdict: .accept))
                rules.early.append(Rule(destination: .inside(lost), output: interface, verdict: .accept))
            }
            rules.early.append(Rule(source: .inside(lost), verdict: .drop))
            rules.early.append(Rule(destination: .inside(lost), verdict: .drop))
        }
        rules.late.append(Rule(source: .inside(overlay.network), verdict: .accept))
        rules.late.append(Rule(destination: .inside(overlay.network), verdict: .accept))
        return rules
    }

    /// Which rules in flannel's chains are this network's.
    func ownership(_ family: IPFamily) -> RuleOwnership {
        if let keptNetworks { return .ofAllBut(keptNetworks) }
        return .of((overlay(family).map { [$0.network] } ?? []) + formerNetworks)
    }
}
