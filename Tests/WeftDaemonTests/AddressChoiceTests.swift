import IPNetwork
import LinuxSystem
import Netlink
import Testing

@testable import WeftDaemon

/// Which of several addresses a host is known by, and what becomes of it.
@Suite struct AddressChoiceTests {
    typealias Held = (address: String, length: Int, flags: AddressFlags)
    private static let permanent = AddressFlags.permanent
    private static let secondary = AddressFlags.temporary

    static func inventory(_ held: [String: [Held]], defaultRoutes: [Route] = []) throws -> HostInventory {
        var inventory = HostInventory(links: [], addresses: [], defaultRoutes: defaultRoutes)
        for (number, name) in ["eth0", "eth1", "eth2"].enumerated() {
            let index = Int32(number + 2)
            inventory.links.append(
                Link(index: index, name: try #require(InterfaceName(name)), flags: [.up, .lowerUp], mtu: 1500))
            for (address, length, flags) in held[name] ?? [] {
                inventory.addresses.append(
                    Address(
                        interface: index, address: try #require(IPAddress(address)), prefixLength: length, flags: flags)
                )
            }
        }
        return inventory
    }

    private func route(_ text: String, dev index: Int32, metric: UInt32 = 0) throws -> Route {
        Route(
            destination: try #require(IPPrefix(text)), metric: metric, path: .single(NextHop(interface: index)))
    }

    private func choose(
        _ inventory: HostInventory, for families: WantedFamilies? = nil,
        _ change: (inout DaemonConfiguration) -> Void = { $0.interfaces = ["eth0"] }
    ) throws -> ExternalInterface {
        var configuration = DaemonConfiguration()
        change(&configuration)
        return try ExternalInterface.choose(configuration, from: inventory, for: families)
    }

    // MARK: Among the addresses of one interface

    static let choices: [(held: [Held], expected: String)] = [
        ([("172.30.0.11", 24, permanent), ("172.30.1.11", 24, permanent)], "172.30.0.11"),
        // keepalived's virtual address, whichever way round they come.
        ([("172.30.0.100", 32, permanent), ("172.30.0.11", 24, permanent)], "172.30.0.11"),
        ([("172.30.0.100", 32, permanent), ("172.30.0.11", 24, [])], "172.30.0.11"),
        // Google's clouds give nothing but /32.
        ([("172.30.0.11", 32, [])], "172.30.0.11"),
        // As flannel: an operator's own before one of DHCP.
        ([("172.30.0.11", 24, []), ("172.31.0.11", 24, permanent)], "172.31.0.11"),
        ([("172.30.0.12", 24, [permanent, secondary]), ("172.30.0.11", 24, [])], "172.30.0.11"),
        ([("169.254.1.1", 16, permanent), ("127.0.0.5", 8, permanent), ("172.30.0.11", 24, permanent)], "172.30.0.11"),
        ([("172.30.0.11", 24, [permanent, .deprecated]), ("172.30.1.11", 24, permanent)], "172.30.1.11"),
        ([("224.0.0.5", 24, permanent), ("172.30.0.11", 24, permanent)], "172.30.0.11"),
        ([("2001:db8::1:1", 128, permanent), ("2001:db8::11", 64, [.manageTemporary])], "2001:db8::11"),
        ([("2001:db8::11", 128, [])], "2001:db8::11"),
        ([("2001:db8::bad", 64, [.temporary]), ("2001:db8::11", 64, [])], "2001:db8::11"),
        ([("2001:db8::bad", 64, [permanent, .deprecated]), ("2001:db8::11", 64, [])], "2001:db8::11"),
        ([("2001:db8::bad", 64, [permanent, .tentative]), ("2001:db8::11", 64, [])], "2001:db8::11"),
        ([("2001:db8::bad", 64, [permanent, .tentative, .optimistic]), ("2001:db8::11", 64, [])], "2001:db8::11"),
        ([("2001:db8::bad", 64, [permanent, .duplicate]), ("2001:db8::11", 64, [])], "2001:db8::11"),
        ([("2001:db8::11", 64, [.stablePrivacy]), ("2001:db8::12", 64, permanent)], "2001:db8::12"),
        ([("fe80::1", 64, permanent), ("fd00::11", 64, permanent)], "fd00::11"),
    ]

    @Test(arguments: choices) func theBestIsChosen(_ held: [Held], _ expected: String) throws {
        let facts = try choose(try Self.inventory(["eth0": held])).facts
        #expect([facts.localIPv4.map { "\($0)" }, facts.localIPv6.map { "\($0)" }].contains(expected))
    }

    @Test(arguments: ["169.254.1.1", "fe80::1", "127.0.0.1", "::1"]) func someAreNoUse(_ address: String) throws {
        let inventory = try Self.inventory(["eth0": [(address, 64 / (address.contains(":") ? 1 : 4), [])]])
        let error = #expect(throws: InterfaceError.self) { try choose(inventory) }
        #expect(error?.description == "interface eth0 has no address that other hosts could reach")
        let named = #expect(throws: InterfaceError.self) { try choose(inventory) { $0.interfaces = [address] } }
        #expect(named?.description == "address \(address) of interface eth0 cannot be used by other hosts")
    }

    /// The operator's word counts, but for an address that another host may have.
    @Test func anAddressByNameIsTakenAsItIs() throws {
        let inventory = try Self.inventory([
            "eth0": [
                ("172.30.0.11", 24, []), ("172.30.0.100", 32, []), ("2001:db8::11", 64, []),
                ("2001:db8::12", 64, [.deprecated]), ("2001:db8::13", 64, [.tentative]),
            ]
        ])
        #expect(
            try choose(inventory) { $0.interfaces = ["172.30.0.100"] }.facts.localIPv4 == IPv4Address(172, 30, 0, 100))
        let byIPv6 = try choose(inventory) { $0.interfaces = ["2001:db8:0:0::12"] }.facts
        #expect(byIPv6.localIPv6 == IPv6Address("2001:db8::12"))
        #expect(byIPv6.localIPv4 == IPv4Address(172, 30, 0, 11))
        #expect(throws: InterfaceError.self) { try choose(inventory) { $0.interfaces = ["2001:db8::13"] } }
    }

    // MARK: Among interfaces

    @Test func whatCannotBeUsedIsPassedOver() throws {
        let inventory = try Self.inventory([
            "eth1": [("2001:db8::11", 64, [])], "eth2": [("172.30.0.11", 24, []), ("2001:db8::12", 64, [])],
        ])
        let names = { (families: WantedFamilies?) in
            try choose(inventory, for: families) { $0.interfaces = ["nosuch", "eth0", "eth1", "eth2"] }.facts.interface
                .text
        }
        #expect(try names(nil) == "eth1")
        #expect(try names(WantedFamilies(ipv4: true, ipv6: false)) == "eth2")
        #expect(try names(WantedFamilies(ipv4: false, ipv6: true)) == "eth1")
        #expect(try names(WantedFamilies(ipv4: true, ipv6: true)) == "eth2")
        let error = #expect(throws: InterfaceError.self) {
            try choose(inventory, for: WantedFamilies(ipv4: true, ipv6: true)) { $0.interfaces = ["eth1"] }
        }
        #expect(
            error?.description
                == "interface eth1 has no IPv4 address that other hosts could reach, which the network config asks for")
    }

    @Test func theDefaultRouteOfTheFamilyTells() throws {
        let inventory = try Self.inventory(
            [
                "eth0": [("172.30.0.11", 24, []), ("2001:db8::10", 64, [])], "eth1": [("2001:db8:1::11", 64, [])],
            ],
            defaultRoutes: [
                try route("::/0", dev: 3, metric: 100), try route("0.0.0.0/0", dev: 2, metric: 700),
                try route("::/0", dev: 2, metric: 1024),
            ])
        func name(_ families: WantedFamilies?) throws -> String {
            try choose(inventory, for: families) { _ in }.facts.interface.text
        }
        #expect(try name(nil) == "eth0")
        #expect(try name(WantedFamilies(ipv4: true, ipv6: false)) == "eth0")
        #expect(try name(WantedFamilies(ipv4: true, ipv6: true)) == "eth0")
        #expect(try name(WantedFamilies(ipv4: false, ipv6: true)) == "eth1")
    }

    @Test func aPublicAddressThatAnInterfaceHasChoosesIt() throws {
        let inventory = try Self.inventory(
            ["eth0": [("172.30.0.11", 24, [])], "eth1": [("192.0.2.11", 24, []), ("2001:db8::11", 64, [])]],
            defaultRoutes: [try route("0.0.0.0/0", dev: 2)])
        let held = try choose(inventory) { $0.publicIP = IPv4Address("192.0.2.11") }
        #expect(held.facts.interface.text == "eth1")
        #expect(held.addressBehindNAT == nil)
        let byIPv6 = try choose(inventory, for: WantedFamilies(ipv4: false, ipv6: true)) {
            $0.publicIPv6 = IPv6Address("2001:db8::11")
        }
        #expect(byIPv6.facts.interface.text == "eth1")
        let outside = try choose(inventory) {
            $0.publicIP = IPv4Address("198.51.100.7")
            $0.publicIPv6 = IPv6Address("2001:db8:99::7")
        }
        #expect(outside.facts.interface.text == "eth0")
        #expect(outside.facts.localIPv4 == IPv4Address(172, 30, 0, 11))
        #expect(outside.facts.publicIPv4 == IPv4Address("198.51.100.7"))
        #expect(outside.facts.publicIPv6 == IPv6Address("2001:db8:99::7"))
        #expect(outside.addressBehindNAT == IPAddress("198.51.100.7"))
        // A given interface goes before.
        #expect(
            try choose(inventory) {
                $0.interfaces = ["eth0"]
                $0.publicIP = IPv4Address("192.0.2.11")
            }.facts.interface.text == "eth0")
    }

    @Test func reachingComesLast() throws {
        var inventory = try Self.inventory([
            "eth0": [("172.30.0.11", 24, [])], "eth1": [("192.0.2.11", 24, []), ("192.0.2.12", 24, [])],
        ])
        let far = try #require(IPAddress("203.0.113.1"))
        func name(_ change: (inout DaemonConfiguration) throws -> Void = { _ in }) throws -> ExternalInterface {
            try choose(inventory) {
                $0.interfaceReaching = far
                try? change(&$0)
            }
        }
        let none = #expect(throws: InterfaceError.self) { try name() }
        #expect(none?.description == "no interface matches the route to 203.0.113.1; there are: eth0, eth1, eth2")
        inventory.routeToReach = Route(
            destination: try #require(IPPrefix("203.0.113.1/32")), preferredSource: IPAddress("192.0.2.12"),
            path: .single(NextHop(gateway: IPAddress("192.0.2.1"), interface: 3)))
        #expect(try name().facts.localIPv4 == IPv4Address("192.0.2.12"), "the source address that the kernel takes")
        #expect(try name { $0.interfaces = ["eth0"] }.facts.interface.text == "eth0")
        #expect(try name { $0.interfaceExpressions = [try InterfaceExpression("h0$")] }.facts.interface.text == "eth0")
        #expect(try name { $0.interfaces = ["nosuch"] }.facts.interface.text == "eth1")
        // Its own address: the route leads to lo, which reaches nobody.
        inventory.routeToReach = Route(
            destination: try #require(IPPrefix("172.30.0.11/32")), table: Route.localTable, type: .local,
            path: .single(NextHop(interface: 1)))
        let own = try choose(inventory) { $0.interfaceReaching = IPAddress("172.30.0.11") }
        #expect(own.facts.interface.text == "eth0")
    }

    @Test func aListInOneValueGetsAHint() throws {
        let error = #expect(throws: InterfaceError.self) {
            try choose(try Self.inventory([:])) { $0.interfaces = ["eth0,eth1"] }
        }
        #expect(error?.description.hasSuffix("give --iface once for each interface") == true)
    }

    // MARK: While running

    private let configuration: DaemonConfiguration = {
        var configuration = DaemonConfiguration()
        configuration.interfaces = ["eth0"]
        return configuration
    }()

    private func refresh(
        _ current: ExternalInterface, _ held: [Held], for families: WantedFamilies? = nil
    ) throws -> (facts: [String], isWhole: Bool) {
        let (new, isWhole) = current.refreshed(
            configuration, from: try Self.inventory(["eth0": held]), for: families)
        let local = [new.facts.localIPv4.map(IPAddress.v4), new.facts.localIPv6.map(IPAddress.v6)].compactMap { $0 }
        return (local.map(\.description), isWhole)
    }

    @Test func theAddressInUseIsKeptAsLongAsItIsGood() throws {
        let first: Held = ("172.30.0.11", 24, [])
        let second: Held = ("172.30.0.12", 24, Self.permanent)
        let current = try choose(try Self.inventory(["eth0": [first]]))
        #expect(try refresh(current, [second, first]) == (["172.30.0.11"], true), "though the other is better")
        #expect(try refresh(current, [second]) == (["172.30.0.12"], true))
        #expect(try refresh(current, []) == (["172.30.0.11"], false), "it may come back")
        let old: Held = ("172.30.0.11", 24, [.deprecated])
        #expect(try refresh(current, [old, second]) == (["172.30.0.12"], true), "no more for new connections")
        #expect(try refresh(current, [old]) == (["172.30.0.11"], true), "and yet better than none")
        #expect(try refresh(current, [("172.30.0.11", 24, Self.secondary), second]) == (["172.30.0.11"], true))
    }

    /// What another address on the link has to be to take the place of the one that went.
    @Test(arguments: [
        // From the start, or an hour before: a cluster's virtual address, with its neighbourhood or without.
        (from: Duration?.none, length: 32, follows: false), (nil, 24, false), (.seconds(3600), 24, false),
        // The old one's replacement, added before it was taken away.
        (.seconds(1), 24, true), (.zero, 24, true), (.seconds(1), 32, false), (.zero, 32, false),
    ]) func anotherAddressIsFollowedIfItReplaces(_ from: Duration?, _ length: Int, _ follows: Bool) throws {
        let first: Held = ("172.30.0.11", 24, Self.permanent)
        let second: Held = ("172.30.0.12", length, Self.permanent)
        let single = try Self.inventory(["eth0": [first]])
        let both = try Self.inventory(["eth0": [first, second]])
        let without = try Self.inventory(["eth0": [second]])
        var current = try choose(from == nil ? both : single)
        let came = ContinuousClock.now
        let gone = came + (from ?? .zero)
        if from != .zero {
            // Each look counts from the first.
            for _ in 1...2 { current = current.refreshed(configuration, from: both, for: nil, at: came).interface }
            current = current.refreshed(configuration, from: both, for: nil, at: gone).interface
        }
        // All go for a moment, and the other is back first.
        for inventory in [try Self.inventory([:]), without] {
            let (new, isWhole) = current.refreshed(configuration, from: inventory, for: nil, at: gone)
            let isFollowed = follows && !inventory.addresses.isEmpty
            #expect(new.facts.localIPv4 == IPv4Address(isFollowed ? "172.30.0.12" : "172.30.0.11"))
            #expect(new.facts.publicIPv4 == new.facts.localIPv4)
            #expect(isWhole == isFollowed)
            #expect(new.facts.isOnLink(try #require(IPAddress("172.30.0.77"))))
            current = new
        }
        let late = current.refreshed(configuration, from: without, for: nil, waits: false, at: gone)
        #expect(late.interface.facts.localIPv4 == IPv4Address("172.30.0.12") && late.isWhole, "better than none")
        let back = current.refreshed(configuration, from: both, for: nil, at: gone)
        #expect(back.interface.facts.localIPv4 == IPv4Address(follows ? "172.30.0.12" : "172.30.0.11") && back.isWhole)
    }

    @Test func anAddressByNameIsWaitedFor() throws {
        let first: Held = ("172.30.0.11", 24, [])
        let second: Held = ("172.30.0.12", 24, [])
        let current = try choose(try Self.inventory(["eth0": [first, second]])) { $0.interfaces = ["172.30.0.12"] }
        #expect(try refresh(current, [first]) == (["172.30.0.12"], false))
        #expect(try refresh(current, [first, ("172.30.0.12", 24, [.deprecated])]) == (["172.30.0.12"], true))
    }

    /// What the overlay has no use for makes no news; a family that is missing is waited for.
    @Test func onlyTheWantedFamiliesCount() throws {
        let ipv4: Held = ("172.30.0.11", 24, [])
        let ipv6: Held = ("2001:db8::11", 64, [])
        let current = try choose(try Self.inventory(["eth0": [ipv4, ipv6]]))
        let single = WantedFamilies(ipv4: true, ipv6: false)
        #expect(try refresh(current, [ipv4], for: single) == (["172.30.0.11", "2001:db8::11"], true))
        #expect(
            try refresh(current, [ipv4, ("2001:db8::12", 64, [])], for: single) == (
                ["172.30.0.11", "2001:db8::11"], true
            ))
        let dual = WantedFamilies(ipv4: true, ipv6: true)
        #expect(try refresh(current, [ipv4], for: dual).isWhole == false)
        #expect(
            try refresh(current, [ipv4, ("2001:db8::12", 64, [])], for: dual) == (
                ["172.30.0.11", "2001:db8::12"], true
            )
        )
    }
}
