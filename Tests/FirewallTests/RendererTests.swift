import IPNetwork
import LinuxSystem
import Testing

@testable import Firewall

/// The overlay of most tests: Network 10.5.0.0/16, this host holds 10.5.34.0/24.
func ruleset(
    masquerade: Bool = true, randomFully: Bool = true, forward: Bool = true, lost: [String] = [],
    peers: [String] = [], ipv6: Bool = false, former: [String] = []
) throws -> Ruleset {
    let v6 = try Ruleset.Overlay(
        network: #require(IPv6Prefix("fd00:10:5::/48")), ownSubnets: [#require(IPv6Prefix("fd00:10:5:34::/64"))])
    return try Ruleset(
        ipv4: .init(
            network: #require(IPv4Prefix("10.5.0.0/16")), ownSubnets: [#require(IPv4Prefix("10.5.34.0/24"))],
            lostSubnets: lost.compactMap { IPv4Prefix($0) }),
        ipv6: ipv6 ? v6 : nil, masquerade: masquerade, randomFully: randomFully, forward: forward,
        peerInterfaces: peers.compactMap { InterfaceName($0) }, formerNetworks: former.compactMap { IPPrefix($0) })
}

@Suite struct RendererTests {
    static let docker = """
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [12:840]
        :OUTPUT ACCEPT [0:0]
        :DOCKER - [0:0]
        :DOCKER-USER - [0:0]
        -A FORWARD -j DOCKER-USER
        -A FORWARD -o docker0 -j DOCKER
        -A DOCKER ! -i docker0 -o docker0 -j DROP
        COMMIT

        """

    @Test func nftablesScript() throws {
        let script = try NftablesRenderer(ruleset: ruleset()).script(current: NftablesListing())
        #expect(
            script == """
                add table ip flannel-ipv4
                create chain ip flannel-ipv4 forward { type filter hook forward priority 0; policy accept; }
                add rule ip flannel-ipv4 forward ip saddr 10.5.0.0/16 accept
                add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept
                create chain ip flannel-ipv4 postrtg { type nat hook postrouting priority 100; policy accept; }
                add rule ip flannel-ipv4 postrtg meta mark & 0x4000 == 0x4000 return
                add rule ip flannel-ipv4 postrtg oifname "lo" return
                add rule ip flannel-ipv4 postrtg ip saddr 10.5.0.0/16 ip daddr 10.5.0.0/16 return
                add rule ip flannel-ipv4 postrtg ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
                add rule ip flannel-ipv4 postrtg ip saddr != 10.5.0.0/16 ip daddr 10.5.34.0/24 return
                add rule ip flannel-ipv4 postrtg ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random

                """)
    }

    @Test func iptablesInputOnAnEmptyHost() throws {
        let input = try IptablesRenderer(ruleset: ruleset(randomFully: false), family: .ipv4)
            .restoreInput(current: IptablesState(), scope: .full)
        #expect(
            input == """
                *nat
                -N FLANNEL-POSTRTG
                -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG -o lo -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE
                -A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE
                -I POSTROUTING 1 -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
                COMMIT
                *filter
                -N FLANNEL-FWD
                -A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
                -A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
                -I FORWARD 1 -m comment --comment "flanneld forward" -j FLANNEL-FWD
                COMMIT

                """)
    }

    @Test func ipv6UsesItsOwnMulticastAndTable() throws {
        let rules = try ruleset(ipv6: true)
        let script = try #require(NftablesRenderer(ruleset: rules).script(current: NftablesListing()))
        #expect(script.contains("ip6 flannel-ipv6 postrtg ip6 saddr fd00:10:5::/48 ip6 daddr != ff00::/8 masquerade"))
        let input = try #require(
            IptablesRenderer(ruleset: rules, family: .ipv6).restoreInput(current: IptablesState(), scope: .full))
        #expect(input.contains("-s fd00:10:5::/48 ! -d ff00::/8"))
        #expect(!input.contains("10.5."))
    }

    @Test func lostSubnetIsDroppedButItsNewHolderPasses() throws {
        let rules = try ruleset(lost: ["10.5.7.0/24"], peers: ["flannel.1"]).forwardRules(.ipv4)
        #expect(
            rules.all.map { NftablesRenderer.text($0, .ipv4) } == [
                "iifname \"flannel.1\" ip saddr 10.5.7.0/24 accept",
                "oifname \"flannel.1\" ip daddr 10.5.7.0/24 accept",
                "ip saddr 10.5.7.0/24 drop", "ip daddr 10.5.7.0/24 drop",
                "ip saddr 10.5.0.0/16 accept", "ip daddr 10.5.0.0/16 accept",
            ])
        #expect(try ruleset(lost: ["10.5.7.0/24"]).forwardRules(.ipv4).all.prefix(2).map(\.verdict) == [.drop, .drop])
    }

    /// Applied once, nothing is left to do: for every switch and both tools.
    @Test(arguments: [true, false], [true, false])
    func applyingIsIdempotent(masquerade: Bool, forward: Bool) throws {
        let rules = try ruleset(masquerade: masquerade, forward: forward, lost: ["10.5.7.0/24"], ipv6: true)
        for family in IPFamily.allCases {
            let renderer = IptablesRenderer(ruleset: rules, family: family)
            var state = IptablesState(parsing: Self.docker)
            if let input = renderer.restoreInput(current: state, scope: .full) { #expect(state.restore(input) == nil) }
            #expect(renderer.restoreInput(current: IptablesState(parsing: state.saved), scope: .full) == nil)
            let clear = renderer.restoreInput(current: state, scope: .nothing)
            if let clear { #expect(state.restore(clear) == nil) }
            #expect(state.chain("filter", "FORWARD") == IptablesState(parsing: Self.docker).chain("filter", "FORWARD"))
            #expect(!state.saved.contains("FLANNEL"))
        }
    }

    @Test func jumpGoesBehindDockerUserOnly() throws {
        let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
        var state = IptablesState(parsing: Self.docker)
        #expect(try state.restore(#require(renderer.restoreInput(current: state, scope: .full))) == nil)
        let targets = state.chain("filter", "FORWARD")?.rules.map { IptablesState.target($0) }
        #expect(targets == ["DOCKER-USER", "FLANNEL-FWD", "DOCKER"])
        // Docker makes a network: its jumps are on top again.
        _ = state.restore(
            """
            *filter
            -I FORWARD 1 -j DOCKER-FORWARD
            -D FORWARD -j DOCKER-USER
            -I FORWARD 1 -j DOCKER-USER
            """)
        let input = try #require(renderer.restoreInput(current: state, scope: .full))
        #expect(
            input == """
                *filter
                -D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
                -I FORWARD 2 -m comment --comment "flanneld forward" -j FLANNEL-FWD
                COMMIT

                """)
        #expect(state.restore(input) == nil)
        #expect(renderer.restoreInput(current: state, scope: .full) == nil)
    }

    @Test func duplicatedJumpsBecomeOne() throws {
        let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
        var state = IptablesState()
        _ = try state.restore(#require(renderer.restoreInput(current: state, scope: .full)))
        let right = state
        _ = state.restore(
            """
            *nat
            -A POSTROUTING -j FLANNEL-POSTRTG
            -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
            """)
        _ = try state.restore(#require(renderer.restoreInput(current: state, scope: .full)))
        #expect(state == right)
    }

    @Test func rulesOfV011AreReplaced() throws {
        let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
        var state = IptablesState(
            parsing: """
                *nat
                :POSTROUTING ACCEPT [0:0]
                -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
                -A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN
                -A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
                -A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.34.0/24 -j RETURN
                -A POSTROUTING ! -s 10.5.0.0/16 -d 10.5.0.0/16 -j MASQUERADE
                -A POSTROUTING -s 10.6.0.0/16 -d 10.6.0.0/16 -j RETURN
                COMMIT
                *filter
                :FORWARD ACCEPT [0:0]
                -A FORWARD -s 10.5.0.0/16 -j ACCEPT
                -A FORWARD -s 10.5.0.0/16 -p tcp -j ACCEPT
                -A FORWARD -d 10.5.0.0/16 -j ACCEPT
                COMMIT
                """)
        #expect(try state.restore(#require(renderer.restoreInput(current: state, scope: .full))) == nil)
        #expect(
            state.chain("nat", "POSTROUTING")?.rules.dropFirst().map { IptablesState.line($0) } == [
                "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "-s 10.6.0.0/16 -d 10.6.0.0/16 -j RETURN",
            ])
        #expect(
            state.chain("filter", "FORWARD")?.rules.dropFirst().map { IptablesState.line($0) } == [
                "-s 10.5.0.0/16 -j ACCEPT", "-s 10.5.0.0/16 -p tcp -j ACCEPT", "-d 10.5.0.0/16 -j ACCEPT",
            ], "an operator may have put the same accept rules")
    }

    /// An operator who masquerades by hand writes some of the same rules, and none that spares multicast.
    @Test(arguments: [true, false]) func anOperatorsOwnMasqueradingStays(_ masquerade: Bool) throws {
        let own = ["-s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN", "-s 10.5.0.0/16 -j MASQUERADE"]
        let commented = #"-s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN"#
        for former in [[], [commented]] {
            var state = IptablesState(
                parsing: "*nat\n:POSTROUTING ACCEPT [0:0]\n"
                    + (former + own).map { "-A POSTROUTING \($0)\n" }.joined() + "COMMIT\n")
            let renderer = try IptablesRenderer(ruleset: ruleset(masquerade: masquerade), family: .ipv4)
            let input = try #require(renderer.restoreInput(current: state, scope: .full))
            #expect(state.restore(input) == nil)
            let rules = state.chain("nat", "POSTROUTING")?.rules ?? []
            #expect(rules.filter { $0.last != "FLANNEL-POSTRTG" }.map { IptablesState.line($0) } == own)
        }
    }

    /// With its rules in POSTROUTING there too, the pair is v0.11's; alone, apart or doubled it may be an operator's.
    @Test func acceptRulesOfV011GoWhereTheyAreSurelyIts() throws {
        let masquerading = "-A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE"
        let (source, destination) = ("-A FORWARD -s 10.5.0.0/16 -j ACCEPT", "-A FORWARD -d 10.5.0.0/16 -j ACCEPT")
        let other = "-A FORWARD -s 192.0.2.0/24 -j DROP"
        for (nat, filter, isRemoved) in [
            (masquerading, [other, source, destination], true), (masquerading, [source, destination, other], true),
            ("", [other, source, destination], false),
            ("-A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN", [source, destination, other], false),
            (masquerading, [source, other, destination], false),
            (masquerading, [destination, source], false), (masquerading, [source, destination, source], false),
        ] {
            let text = """
                *nat
                :POSTROUTING ACCEPT [0:0]
                \(nat)
                COMMIT
                *filter
                :FORWARD DROP [0:0]
                \(filter.joined(separator: "\n"))
                COMMIT
                """
            for scope in [IptablesRenderer.Scope.full, .forwardWhereDropped] {
                var state = IptablesState(parsing: text)
                let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
                #expect(try state.restore(#require(renderer.restoreInput(current: state, scope: scope))) == nil)
                let rules = state.chain("filter", "FORWARD")?.rules.map { "-A FORWARD " + IptablesState.line($0) } ?? []
                #expect(rules.first?.hasSuffix("-j FLANNEL-FWD") == true)
                #expect(Array(rules.dropFirst()) == (isRemoved ? [other] : filter), "\(filter)")
            }
            // Nothing of Weft's takes their place.
            var state = IptablesState(parsing: text)
            let renderer = try IptablesRenderer(ruleset: ruleset(forward: false), family: .ipv4)
            if let input = renderer.restoreInput(current: state, scope: .full) { #expect(state.restore(input) == nil) }
            #expect(state.chain("filter", "FORWARD")?.rules.count == filter.count)
        }
    }

    /// v0.17 to v0.19 put a comment on rules that stood in the system's chains; of another network's they are not ours.
    @Test func rulesOfV017AreReplaced() throws {
        let other = #"-s 10.6.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT"#
        let text = """
            *nat
            :POSTROUTING ACCEPT [0:0]
            -A POSTROUTING -s NETWORK -d NETWORK -m comment --comment "flanneld masq" -j RETURN
            -A POSTROUTING -s NETWORK ! -d MULTICAST -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
            -A POSTROUTING ! -s NETWORK -d SUBNET -m comment --comment "flanneld masq" -j RETURN
            -A POSTROUTING ! -s NETWORK -d NETWORK -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
            COMMIT
            *filter
            :FORWARD ACCEPT [0:0]
            -A FORWARD -s NETWORK -m comment --comment "flanneld forward" -j ACCEPT
            -A FORWARD \(other)
            -A FORWARD -d NETWORK -m comment --comment "flanneld forward" -j ACCEPT
            COMMIT
            """
        for (family, network, subnet, multicast) in [
            (IPFamily.ipv4, "10.5.0.0/16", "10.5.34.0/24", "224.0.0.0/4"),
            (.ipv6, "fd00:10:5::/48", "fd00:10:5:34::/64", "ff00::/8"),
        ] {
            var state = IptablesState(
                parsing: text.replacing("NETWORK", with: network).replacing("SUBNET", with: subnet)
                    .replacing("MULTICAST", with: multicast))
            let renderer = try IptablesRenderer(ruleset: ruleset(ipv6: true), family: family)
            #expect(try state.restore(#require(renderer.restoreInput(current: state, scope: .full))) == nil)
            #expect(state.chain("nat", "POSTROUTING")?.rules.map { IptablesState.target($0) } == ["FLANNEL-POSTRTG"])
            let forward = state.chain("filter", "FORWARD")?.rules ?? []
            #expect(forward.dropFirst().map { IptablesState.line($0) } == [other])
        }
    }

    /// Where v0.11's pair was all there is, an open plane needs no rule of Weft's.
    @Test func openPlaneIsEmptyOnceV011sRulesAreGone() throws {
        var state = IptablesState(
            parsing: """
                *nat
                :POSTROUTING ACCEPT [0:0]
                -A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -j RETURN
                -A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE
                COMMIT
                *filter
                :FORWARD ACCEPT [0:0]
                -A FORWARD -s 10.5.0.0/16 -j ACCEPT
                -A FORWARD -d 10.5.0.0/16 -j ACCEPT
                COMMIT
                """)
        let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
        let input = try #require(renderer.restoreInput(current: state, scope: .forwardWhereDropped))
        #expect(state.restore(input) == nil)
        #expect(!state.saved.contains("-A "))
    }

    @Test func chainThatAnotherChainUsesIsEmptiedAndStays() throws {
        var state = IptablesState(
            parsing: """
                *filter
                :FORWARD ACCEPT [0:0]
                :FLANNEL-FWD - [0:0]
                :MINE - [0:0]
                -A MINE -j FLANNEL-FWD
                -A FLANNEL-FWD -j ACCEPT
                COMMIT
                """)
        let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
        #expect(try state.restore(#require(renderer.restoreInput(current: state, scope: .nothing))) == nil)
        #expect(state.chain("filter", "FLANNEL-FWD")?.rules == [])
        #expect(renderer.restoreInput(current: state, scope: .nothing) == nil)
    }

    @Test func secondPlaneAcceptsOnlyWhereSomethingMayDrop() throws {
        let renderer = try IptablesRenderer(ruleset: ruleset(), family: .ipv4)
        let open = IptablesState(parsing: "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
        #expect(renderer.restoreInput(current: open, scope: .forwardWhereDropped) == nil)
        let docker = try #require(
            renderer.restoreInput(current: IptablesState(parsing: Self.docker), scope: .forwardWhereDropped))
        #expect(docker.contains("-I FORWARD 2"))
        #expect(!docker.contains("*nat"))
    }
}
