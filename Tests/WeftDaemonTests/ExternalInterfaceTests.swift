import IPNetwork
import LinuxSystem
import Netlink
import Testing

@testable import WeftDaemon

/// Which interface reaches the other hosts.
@Suite struct ExternalInterfaceTests {
    static let inventory: HostInventory = {
        func link(_ index: Int32, _ name: String, mtu: UInt32 = 1500) -> Link {
            Link(index: index, name: InterfaceName(name)!, flags: [.up, .lowerUp], mtu: mtu)
        }
        func address(_ index: Int32, _ text: String, _ length: Int, _ flags: AddressFlags = []) -> Address {
            Address(interface: index, address: IPAddress(text)!, prefixLength: length, flags: flags)
        }
        return HostInventory(
            links: [link(1, "lo", mtu: 65536), link(2, "eth0"), link(3, "eth1", mtu: 9000), link(4, "bare0")],
            addresses: [
                address(1, "127.0.0.1", 8), address(2, "169.254.9.9", 16), address(2, "172.30.0.11", 24),
                address(2, "172.30.0.12", 24, .temporary), address(2, "fe80::1", 64),
                address(2, "2001:db8::bad", 64, .deprecated), address(2, "2001:db8::11", 64),
                address(3, "192.0.2.11", 28),
            ],
            defaultRoutes: [
                Route(
                    destination: IPPrefix("0.0.0.0/0")!, metric: 100,
                    path: .single(NextHop(gateway: IPAddress("172.30.0.1")!, interface: 2))),
                Route(
                    destination: IPPrefix("0.0.0.0/0")!, metric: 200,
                    path: .single(NextHop(gateway: IPAddress("192.0.2.1")!, interface: 3))),
            ])
    }()

    func choose(_ change: (inout DaemonConfiguration) throws -> Void) throws -> ExternalInterface {
        var configuration = DaemonConfiguration()
        try change(&configuration)
        return try ExternalInterface.choose(configuration, from: Self.inventory)
    }

    @Test func theBestDefaultRouteTells() throws {
        let chosen = try choose { _ in }
        #expect(chosen.facts.interface.text == "eth0")
        #expect(chosen.facts.localIPv4 == IPv4Address(172, 30, 0, 11), "no link-local address when there is another")
        #expect(chosen.facts.localIPv6 == IPv6Address("2001:db8::11"), "no deprecated address")
        #expect(chosen.facts.publicIPv4 == chosen.facts.localIPv4)
        #expect(chosen.facts.isOnLink(IPAddress("172.30.0.77")!))
        #expect(!chosen.facts.isOnLink(IPAddress("198.51.100.1")!))
        #expect(chosen.reason == "it has the default route")
    }

    @Test func namesAndAddressesInOrder() throws {
        #expect(try choose { $0.interfaces = ["nosuch", "eth1", "eth0"] }.facts.interface.text == "eth1")
        let byAddress = try choose { $0.interfaces = ["172.30.0.12"] }
        #expect(byAddress.facts.interface.text == "eth0")
        #expect(byAddress.facts.localIPv4 == IPv4Address(172, 30, 0, 12))
        #expect(byAddress.reason == "--iface=172.30.0.12")
    }

    @Test func expressionsMatchAddressesThenNames() throws {
        let byAddress = try choose { $0.interfaceExpressions = [try InterfaceExpression("^192\\.0\\.2\\.")] }
        #expect(byAddress.facts.interface.text == "eth1")
        #expect(byAddress.facts.mtu == 9000)
        #expect(
            try choose {
                $0.interfaceExpressions = [try InterfaceExpression("nosuch"), try InterfaceExpression("^eth")]
            }
            .facts.interface.text == "eth0")
        #expect(
            try choose {
                $0.interfaces = ["nosuch"]
                $0.interfaceExpressions = [try InterfaceExpression("th1$")]
            }.facts.interface.text == "eth1")
    }

    @Test func aPublicAddressIsPublishedAndNotSentFrom() throws {
        let chosen = try choose { $0.publicIP = IPv4Address(198, 51, 100, 7) }
        #expect(chosen.facts.publicIPv4 == IPv4Address(198, 51, 100, 7))
        #expect(chosen.facts.localIPv4 == IPv4Address(172, 30, 0, 11))
    }

    @Test func failuresSayWhatThereIs() {
        let missing = #expect(throws: InterfaceError.self) { try choose { $0.interfaces = ["eth9"] } }
        #expect(missing?.description == "no interface matches eth9; there are: lo, eth0, eth1, bare0")
        let bare = #expect(throws: InterfaceError.self) { try choose { $0.interfaces = ["bare0"] } }
        #expect(bare?.description == "interface bare0 has no address that other hosts could reach")
        var offline = Self.inventory
        offline.defaultRoutes = []
        let none = #expect(throws: InterfaceError.self) {
            try ExternalInterface.choose(DaemonConfiguration(), from: offline)
        }
        #expect(none?.description == "there is no default route to tell the interface from; name it with --iface")
    }
}
