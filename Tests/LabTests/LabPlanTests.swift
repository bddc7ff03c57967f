import Testing

@testable import Lab

@Suite struct LabPlanTests {
    private func plan(
        name: String = "x", hosts: Int = 2, containers: Int = 1, backend: LabPlan.Backend = .vxlan
    ) throws -> LabPlan {
        try LabPlan(
            name: name, hostCount: hosts, containersPerHost: containers, backend: backend, engine: .namespaces,
            daemonPath: "/d", etcdPath: "/e")
    }

    @Test func namesAndAddressesFollowFromTheNumber() throws {
        let hosts = try plan(hosts: 3, containers: 2).hosts
        #expect(hosts.map(\.namespace) == ["x-h1", "x-h2", "x-h3"])
        #expect(hosts.map(\.address.description) == ["172.30.0.11", "172.30.0.12", "172.30.0.13"])
        #expect(hosts[2].containers.map(\.namespace) == ["x-h3-c1", "x-h3-c2"])
        #expect(hosts[2].containers.map(\.qualifiedName) == ["c1.h3", "c2.h3"])
    }

    @Test func everyLinkIsBornInsideTheLab() throws {
        let scripts = try plan().networkScripts()
        #expect(scripts.map(\.namespace) == ["x-switch", "x-switch", "x-h1", "x-h2"])
        #expect(
            scripts[1].text == """
                link add h1 type veth peer name eth0 netns x-h1
                link set h1 master br0 up
                link add h2 type veth peer name eth0 netns x-h2
                link set h2 master br0 up

                """)
        #expect(
            scripts[3].lines == [
                "link set lo up", "address add 172.30.0.12/24 dev eth0", "link set eth0 up",
                "route add default via 172.30.0.1",
            ])
    }

    @Test func containersTakeTheAddressesAfterTheBridge() throws {
        let subnet = try SubnetFile("FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.34.1/24\nFLANNEL_MTU=1450\n")
        let host = try plan(containers: 2).hosts[0]
        #expect(
            host.bridgeScript(subnet).lines == [
                "link add weft0 type bridge", "address add 10.5.34.1/24 dev weft0", "link set weft0 mtu 1450 up",
                "link add c1 type veth peer name eth0 netns x-h1-c1", "link set c1 mtu 1450 master weft0 up",
                "link add c2 type veth peer name eth0 netns x-h1-c2", "link set c2 mtu 1450 master weft0 up",
            ])
        #expect(
            try host.containers[1].networkScript(subnet).lines == [
                "link set lo up", "link set eth0 mtu 1450 up", "address add 10.5.34.3/24 dev eth0",
                "route add default via 10.5.34.1",
            ])
    }

    @Test func aSubnetHasRoomForSoMany() throws {
        let subnet = try SubnetFile("FLANNEL_SUBNET=10.5.34.1/29\nFLANNEL_MTU=1450")
        #expect(try subnet.address(ofContainer: 5).description == "10.5.34.6")
        #expect(throws: LabError.self) { try subnet.address(ofContainer: 6) }
    }

    @Test(arguments: [
        "", "FLANNEL_SUBNET=10.5.34.1/24", "FLANNEL_MTU=1450", "FLANNEL_SUBNET=10.5.34.1\nFLANNEL_MTU=1450",
        "FLANNEL_SUBNET=10.5.34.1/24\nFLANNEL_MTU=-1",
    ])
    func aMalformedSubnetFileIsRefused(_ text: String) {
        #expect(throws: LabError.self) { try SubnetFile(text) }
    }

    @Test(arguments: ["", "-x", "1x", "x/y", "x y", "X", String(repeating: "x", count: 33)])
    func aNameThatCannotBeAPathIsRefused(_ name: String) {
        #expect(throws: LabError.self) { try plan(name: name) }
    }

    @Test func numbersHaveBounds() throws {
        #expect(throws: LabError.self) { try plan(hosts: 0) }
        #expect(throws: LabError.self) { try plan(hosts: 201) }
        #expect(throws: LabError.self) { try plan(containers: 0) }
        #expect(throws: LabError.self) { try plan(hosts: 200).adding(hosts: 1) }
        #expect(try plan(hosts: 2).adding(hosts: 2).hosts.map(\.name) == ["h1", "h2", "h3", "h4"])
    }

    @Test func aLabOwnsItsOwnNamespacesAlone() {
        for own in ["lab-switch", "lab-h1", "lab-h12-c3"] { #expect(LabPlan.owns(namespace: own, lab: "lab")) }
        for other in [
            "lab", "lab-", "lab-h", "lab-hx", "lab-2-h1", "lab-h1-c", "lab-h1-c1-c2", "lab2-h1", "lab-c1", "lab-h1-",
        ] {
            #expect(!LabPlan.owns(namespace: other, lab: "lab"), "\(other)")
        }
    }

    @Test func theConfigNamesTheBackend() throws {
        #expect(
            try plan(backend: .hostGateway).networkConfig == #"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#)
    }
}
