import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// What udhcpc and dhclient run for each event, in the container's network namespace: it sets the address and the default
/// route, and leaves the host's files alone.
public enum DHCPScript {
    /// The name that the program is called by.
    public static let programName = "weft-dhcp-script"

    /// What a client reports.
    enum Event: Hashable {
        /// The interface has to be up, without an address.
        case reset
        case lease(Lease)
        case none
    }

    /// What a server gave.
    struct Lease: Hashable {
        var address: FixedAddress
        /// Seconds; `nil` for ever.
        var lifetime: UInt32?
    }

    /// - Throws: ``AttachError`` when the kernel refuses the lease.
    public static func run(_ arguments: [String], environment: [String: String]) throws(AttachError) {
        guard let name = InterfaceName(environment["interface"] ?? "") else {
            throw AttachError("\(programName) is run by DHCP clients, and nobody else")
        }
        let network = try NamespaceNetwork("the container", namespace: nil)
        let link = try network.existing(name)
        let event = event(arguments, environment: environment)
        if !link.flags.contains(.up) { try network.apply(.changeLink(LinkChange(index: link.index, isUp: true))) }
        guard event != .none else { return }
        var wanted: FixedAddress?
        if case .lease(let lease) = event {
            wanted = lease.address
            try network.apply(
                .replaceAddress(
                    Address(
                        interface: link.index, address: lease.address.address, prefixLength: lease.address.prefixLength,
                        broadcast: lease.address.broadcast, validLifetime: lease.lifetime,
                        preferredLifetime: lease.lifetime)))
        }
        for address in try network.addresses(of: link.index)
        where !address.address.isIPv6 && address.address != wanted?.address {
            try network.apply(.deleteAddress(address), tolerating: [EADDRNOTAVAIL])
        }
        guard let gateway = wanted?.gateway else { return }
        let routes = try network.routes(RouteFilter(family: .v4, table: Route.mainTable))
        // An operator's or the engine's default route stays; ours is lost with the address that it stood on.
        guard !routes.contains(where: { $0.destination.length == 0 }) else { return }
        try network.apply(
            .addRoute(
                Route(
                    destination: .v4(.all), proto: .dhcp,
                    path: .single(NextHop(gateway: gateway, interface: link.index, onlink: true)))))
    }

    /// From udhcpc's word or dhclient's reason, with the variables of either.
    static func event(_ arguments: [String], environment: [String: String]) -> Event {
        switch arguments.first ?? environment["reason"] ?? "" {
        case "deconfig", "PREINIT", "EXPIRE", "FAIL", "RELEASE", "STOP": .reset
        case "bound", "renew":
            lease(
                address: environment["ip"], mask: environment["subnet"], router: environment["router"],
                lifetime: environment["lease"])
        case "BOUND", "RENEW", "REBIND", "REBOOT":
            lease(
                address: environment["new_ip_address"], mask: environment["new_subnet_mask"],
                router: environment["new_routers"], lifetime: environment["new_dhcp_lease_time"])
        default: .none
        }
    }

    private static func lease(address: String?, mask: String?, router: String?, lifetime: String?) -> Event {
        guard
            let address,
            // Without a netmask the address stands alone.
            var fixed = try? FixedAddress(parsing: "\(address)/\(mask ?? "255.255.255.255")"), !fixed.address.isIPv6
        else { return .none }
        if let word = router?.split(separator: " ").first { fixed.gateway = IPAddress(String(word)) }
        // The greatest number means for ever (RFC 2131).
        let seconds = lifetime.flatMap { UInt32($0) }.flatMap { $0 == .max ? nil : $0 }
        return .lease(Lease(address: fixed, lifetime: seconds))
    }
}
