import Testing

@testable import Firewall

@Suite struct ParserTests {
    @Test func quotedWordsRoundTrip() {
        let line = #"-A F -m comment --comment "a \"b\" \\ c" -j X"#
        let words = IptablesState.words(line)
        #expect(words == ["-A", "F", "-m", "comment", "--comment", #"a "b" \ c"#, "-j", "X"])
        #expect(IptablesState.line(words) == line)
    }

    @Test(arguments: ["", "\n", "*", ":", "-A", "*filter\n:\n-A\n", ":X - [0:0]", "-A F -j X", "*f\n\"", "# Table `"])
    func oddIptablesOutputIsHarmless(text: String) {
        #expect(IptablesState(parsing: text).tables.values.allSatisfy { $0.isEmpty })
    }

    @Test func incompatibleTableIsNamed() {
        let state = IptablesState(parsing: "# Table `filter' is incompatible, use 'nft' tool.\n")
        #expect(state.incompatibleTables == ["filter"])
    }

    /// Printed by `nft -n list ruleset` 1.0.6, with a set, a map and a counter of an operator's.
    @Test func nftablesListing() {
        let listing = NftablesListing(
            parsing: """
                table inet filter {
                \tset blocked {
                \t\ttype ipv4_addr
                \t\telements = { 192.0.2.1,
                \t\t\t     192.0.2.2 }
                \t}

                \tchain forward {
                \t\ttype filter hook forward priority filter; policy drop;
                \t\tip saddr 10.5.0.0/16 counter packets 3 bytes 252 accept
                \t\tmeta mark & 0x00004000 == 0x00004000 return
                \t}

                \tchain jumped {
                \t}
                }
                """)
        let chains = listing.tables[.init(family: "inet", name: "filter")]
        #expect(chains?.count == 2)
        #expect(chains?["forward"]?.hook == "type filter hook forward priority 0; policy drop;")
        #expect(
            chains?["forward"]?.rules == ["ip saddr 10.5.0.0/16 accept", "meta mark & 0x4000 == 0x4000 return"])
    }

    /// Printed by nft 1.0.6 for a transaction that replaced a table.
    @Test func nftablesEcho() {
        let rules = NftablesListing.rules(
            inEcho: """
                add table ip flannel-ipv4
                add chain ip flannel-ipv4 postrtg { type nat hook postrouting priority 100; policy accept; }
                insert rule ip flannel-ipv4 postrtg meta mark & 0x00004000 == 0x00004000 return
                add rule ip flannel-ipv4 postrtg handle 2 oifname "lo" return
                # new generation 2 by process 20155 (nft)
                """)
        #expect(rules == ["meta mark & 0x4000 == 0x4000 return", "oifname \"lo\" return"])
    }

    /// Printed by `nft -n -a list table` 1.0.6.
    @Test func nftablesHandles() {
        let listing = NftablesListing(
            parsing: """
                table ip t { # handle 1
                \tcomment "x"
                \tchain p { # handle 1
                \t\ttype nat hook postrouting priority 100; policy accept;
                \t\tip saddr 10.1.0.0/16 return # handle 2
                \t\tip saddr 10.2.0.0/16 return comment "# handle 4" # handle 7
                \t}
                }
                """)
        let chain = listing.tables[.init(family: "ip", name: "t")]?["p"]
        #expect(chain?.hook == "type nat hook postrouting priority 100; policy accept;")
        #expect(chain?.rules.first == "ip saddr 10.1.0.0/16 return")
        #expect(chain?.handles == [2, 7])
    }

    @Test(arguments: ["", "add", "add rule ip", "add rule ip t c", "add chain ip t c", "add chain ip t c {", "# x"])
    func oddNftEchoIsHarmless(text: String) {
        #expect(NftablesListing.rules(inEcho: text).isEmpty)
    }

    @Test(arguments: ["", "}", "table", "table ip", "table ip x {", "}\n}\nchain x {", "table ip x {\n}\n}\n}"])
    func oddNftOutputIsHarmless(text: String) {
        #expect(NftablesListing(parsing: text).tables.values.allSatisfy { $0.isEmpty })
    }
}
