import Testing

@testable import Firewall

@Suite struct FindingTests {
    /// The forward path of firewalld 1.3.3 as `nft -n list table inet firewalld` 1.0.6 prints it, shortened.
    private static func firewalld(_ isTrusted: Bool) -> String {
        let zone = isTrusted ? "ip saddr 10.5.0.0/16 goto filter_FWD_trusted\n" : ""
        return """
            table inet firewalld {
            \tchain filter_FORWARD {
            \t\ttype filter hook forward priority 10; policy accept;
            \t\tct state { 0x2, 0x4 } accept
            \t\tct status 0x20 accept
            \t\tiifname "lo" accept
            \t\tct state 0x1 drop
            \t\tip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } reject with icmpv6 3
            \t\tjump filter_FORWARD_ZONES
            \t\treject with icmpx 3
            \t}

            \tchain filter_FORWARD_POLICIES_pre {
            \t\tjump filter_FWD_policy_pre
            \t}

            \tchain filter_FORWARD_ZONES {
            \t\t\(zone)goto filter_FWD_public
            \t}

            \tchain filter_FWD_public {
            \t\tjump filter_FORWARD_POLICIES_pre
            \t\tjump filter_FWD_public_allow
            \t\treject with icmpx 3
            \t}

            \tchain filter_FWD_public_allow {
            \t}

            \tchain filter_FWD_trusted {
            \t\tjump filter_FORWARD_POLICIES_pre
            \t\tjump filter_FWD_trusted_allow
            \t\taccept
            \t}

            \tchain filter_FWD_trusted_allow {
            \t\tip daddr 10.5.0.0/16 accept
            \t}
            }
            """
    }

    @Test func firewalldsFindingEndsWithItsRemedy() throws {
        let rules = ForwardFindings(ruleset: try ruleset())
        for isTrusted in [false, true] {
            let listing = NftablesListing(parsing: Self.firewalld(isTrusted))
            let chain = try #require(rules.foreignChains(listing, iptablesFamilies: []).first)
            let finding = rules.finding(chain, listing.tables[chain.table] ?? [:])
            let remedy = "run: firewall-cmd --permanent --zone=trusted --add-source=10.5.0.0/16; firewall-cmd --reload"
            #expect(finding?.remedy == (isTrusted ? nil : remedy))
        }
    }

    @Test(arguments: [
        ("accept", true), ("drop\naccept", false), ("ip saddr 10.0.0.0/8 accept", true),
        ("ip saddr 10.5.1.0/24 accept", false), ("ip saddr 10.5.0.0/16 tcp dport 80 accept", false),
        ("ip saddr 10.5.0.0/16 accept comment \"overlay\"", true), ("ip saddr 10.5.0.0/16 drop\naccept", false),
        ("jump sub\naccept", true), ("jump no", false), ("goto sub\naccept", false), ("jump yes", true),
        ("ip saddr 10.5.0.0/16 jump yes", true), ("ip6 saddr ::/0 accept", false), ("jump loop", false),
        ("return\naccept", false), ("iifname \"eth0\" drop\nip saddr 10.5.0.0/16 accept", true),
    ])
    func rulesAreFollowed(text: String, accepts: Bool) throws {
        let rules = text.split(separator: "\n").map(String.init)
        let verdicts = NftablesVerdicts(chains: [
            "base": .init(hook: "type filter hook forward priority 0; policy drop;", rules: rules),
            "sub": .init(rules: ["ct state 0x1 drop", "return", "drop"]), "yes": .init(rules: ["accept"]),
            "no": .init(rules: ["drop"]), "loop": .init(rules: ["jump loop"]),
        ])
        let network = try #require(ruleset().overlay(.ipv4)?.network)
        #expect(verdicts.accepts("base", .ipv4, "saddr", network) == accepts)
    }
}
