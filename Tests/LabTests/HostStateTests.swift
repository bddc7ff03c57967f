import Testing

@testable import Lab

extension HostState {
    /// A host with one peer, as `ip -json` of iproute2 6.1 prints it (fields that don't matter left out).
    static var sample: HostState {
        get throws { try HostState(ipOutput: HostStateTests.output, device: "flannel.1") }
    }
}

@Suite struct HostStateTests {
    static let output = """
        [{"ifname":"eth0","flags":["BROADCAST","UP"],"mtu":1500,"address":"02:00:00:00:00:01","addr_info":[]},\
        {"ifname":"flannel.1","flags":["BROADCAST","UP","LOWER_UP"],"mtu":1450,"address":"52:81:08:54:8c:25",\
        "addr_info":[{"family":"inet","local":"10.5.87.0","prefixlen":32},{"family":"inet6","local":"fe80::1","prefixlen":64}]}]
        [{"dst":"default","gateway":"172.30.0.1","dev":"eth0","flags":[]},\
        {"dst":"10.5.45.0/24","gateway":"10.5.45.0","dev":"flannel.1","flags":["onlink"]},\
        {"dst":"10.5.87.0/24","dev":"weft0","protocol":"kernel","flags":[]}]
        [{"dst":"10.5.45.0","dev":"flannel.1","lladdr":"de:e3:f2:4a:a5:21","state":["PERMANENT"]},\
        {"dst":"10.5.87.2","dev":"weft0","lladdr":"aa:bb:cc:dd:ee:ff","state":["REACHABLE"]}]
        """

    @Test func onlyTheDaemonsOwnIsRead() throws {
        let state = try HostState.sample
        #expect(state.device?.addresses == ["10.5.87.0/32"])
        #expect(state.device?.isUp == true)
        #expect(state.isUplinkUp)
        #expect(state.routes.map(\.destination) == ["10.5.45.0/24"])
        #expect(state.neighbours == ["10.5.45.0 de:e3:f2:4a:a5:21"])
        let entries = #"[{"mac":"de:e3:f2:4a:a5:21","ifname":"flannel.1","dst":"172.30.0.12","state":"permanent"}]"#
        #expect(try HostState.forwardingEntries(entries) == ["de:e3:f2:4a:a5:21 172.30.0.12"])
        #expect(try HostState.forwardingEntries("") == [])
    }

    @Test(arguments: Breakage.allCases)
    func aBreakageIsMadeOfWhatTheHostHolds(_ breakage: Breakage) throws {
        var state = try HostState.sample
        state.forwardingEntries = ["de:e3:f2:4a:a5:21 172.30.0.12"]
        let commands = try breakage.commands(
            state, chains: [FilterChain(family: "ip", table: "nat", name: "FLANNEL-POSTRTG")])
        let expected: [Breakage: [String]] = [
            .device: ["ip link delete flannel.1"],
            .deviceDown: ["ip link set flannel.1 down"],
            .mac: ["ip link set flannel.1 address 0a:bb:cc:dd:ee:ff"],
            .mtu: ["ip link set flannel.1 mtu 1300"],
            .address: ["ip address delete 10.5.87.0/32 dev flannel.1"],
            .routes: ["ip route delete 10.5.45.0/24"],
            .neighbour: ["ip neighbour delete 10.5.45.0 dev flannel.1"],
            .fdb: ["bridge fdb delete de:e3:f2:4a:a5:21 dev flannel.1 dst 172.30.0.12"],
            .firewall: ["nft flush chain ip nat FLANNEL-POSTRTG"],
            .uplink: ["ip link set eth0 down"],
        ]
        #expect(commands.map { $0.joined(separator: " ") } == expected[breakage] ?? [])
    }

    @Test func nothingToBreakIsAnError() throws {
        #expect(throws: LabError.self) { try Breakage.fdb.commands(try HostState.sample, chains: []) }
        #expect(throws: LabError.self) { try Breakage.firewall.commands(try HostState.sample, chains: []) }
    }

    @Test func onlyTheDaemonsChainsAreFlushed() throws {
        let listing = """
            {"nftables":[{"metainfo":{"version":"1.0.6"}},{"chain":{"family":"ip","table":"nat","name":"FLANNEL-POSTRTG"}},\
            {"chain":{"family":"ip","table":"nat","name":"POSTROUTING"}},\
            {"chain":{"family":"ip","table":"weft","name":"forward"}}]}
            """
        #expect(try FilterChain.ours(inJSON: listing).map(\.name) == ["FLANNEL-POSTRTG", "forward"])
    }
}
