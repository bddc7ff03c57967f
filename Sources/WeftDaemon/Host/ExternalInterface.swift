import Backends
import IPNetwork
import LinuxSystem
import Netlink

/// The interface that reaches the other hosts, chosen as flannel chooses it.
public struct ExternalInterface: Hashable, Sendable {
    /// What a backend needs to know of it.
    public var facts: HostFacts
    /// Why it was this one, in words for the log.
    public var reason: String
    /// The address that the interface was chosen by; without it the choice does not hold any more.
    var chosenBy: IPAddress?
    /// A public address that was given and that no interface of the host has: NAT leads to it.
    public var addressBehindNAT: IPAddress?

    /// What addresses the interface had when nothing was away, each with when it was first seen.
    var seen: [IPAddress: ContinuousClock.Instant] = [:]
    /// An address that came this short a time before the one in use went is its replacement; one that was there for longer
    /// has another purpose.
    static let replacing = Duration.seconds(60)
}

/// No interface can be used.
public struct InterfaceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was looked for and what there is, on one line.
    public let description: String
    /// The text is shown as it is.
    public init(_ description: String) { self.description = description }
}

extension ExternalInterface {
    /// The first of these that can be used: each `--iface`, each `--iface-regex`, the interface that reaches
    /// `--iface-can-reach`; when none of them is given the one that has `--public-ip`, then the default route's.
    ///
    /// - Parameter families: those that the interface must have an address of; `nil` while that is not known.
    /// - Throws: ``InterfaceError`` naming what was looked for and what there is.
    public static func choose(
        _ configuration: DaemonConfiguration, from inventory: HostInventory, for families: WantedFamilies? = nil
    ) throws(InterfaceError) -> ExternalInterface {
        let selection = InterfaceSelection(configuration: configuration, inventory: inventory, families: families)
        var first: InterfaceError?
        for candidate in selection.candidates {
            do throws(InterfaceError) {
                return try make(candidate, selection)
            } catch {
                first = first ?? error
            }
        }
        throw first ?? selection.nothingMatches
    }

    private static func make(
        _ candidate: InterfaceSelection.Candidate, _ selection: InterfaceSelection
    ) throws(InterfaceError) -> ExternalInterface {
        let link = candidate.link
        if let address = candidate.address, !address.isReachable || !address.isSettled {
            throw InterfaceError("address \(address.address) of interface \(link.name) cannot be used by other hosts")
        }
        let usable = selection.inventory.usableAddresses(of: link).map(\.address)
        let ipv4 = candidate.address?.address.v4 ?? usable.lazy.compactMap(\.v4).first
        let ipv6 = candidate.address?.address.v6 ?? usable.lazy.compactMap(\.v6).first
        guard ipv4 != nil || ipv6 != nil else {
            throw InterfaceError("interface \(link.name) has no address that other hosts could reach")
        }
        if let families = selection.families {
            if families.ipv4, ipv4 == nil { throw lacks(link, "IPv4") }
            if families.ipv6, ipv6 == nil { throw lacks(link, "IPv6") }
        }
        guard link.mtu > 0 else { throw InterfaceError("interface \(link.name) has MTU 0") }
        let configuration = selection.configuration
        let facts = HostFacts(
            interface: link.name, mtu: link.mtu, localIPv4: ipv4, localIPv6: ipv6,
            publicIPv4: configuration.publicIP ?? ipv4, publicIPv6: configuration.publicIPv6 ?? ipv6,
            linkPrefixes: selection.inventory.linkPrefixes(of: link))
        let given = [configuration.publicIP.map(IPAddress.v4), configuration.publicIPv6.map(IPAddress.v6)]
        let absent = given.compactMap { $0 }.first { address in
            !selection.inventory.addresses.contains { $0.address == address }
        }
        var chosen = ExternalInterface(
            facts: facts, reason: candidate.reason,
            chosenBy: candidate.isByAddress ? candidate.address?.address : nil, addressBehindNAT: absent)
        chosen.note(selection.inventory.held(link), at: .now - replacing)
        return chosen
    }

    private mutating func note(_ held: [Address], at now: ContinuousClock.Instant) {
        let before = seen
        seen = Dictionary(held.map { ($0.address, before[$0.address] ?? now) }) { first, _ in first }
    }

    private static func lacks(_ link: Link, _ family: String) -> InterfaceError {
        InterfaceError(
            "interface \(link.name) has no \(family) address that other hosts could reach, which the network config asks for"
        )
    }

    /// The interface in use as it is now. Its address stays the same as long as the interface holds it, whatever others
    /// come (a virtual address of a cluster), and is replaced when it is no more for new connections and there is another,
    /// or when it is gone and there is one that came in its place. Any other has to do once the wait for it is over: a DHCP
    /// client may take the address for a moment, and a cluster's virtual one would be left with the lease for good.
    ///
    /// - Parameters:
    ///   - waits: whether an address that is gone may still come back.
    ///   - now: when the inventory was read.
    /// - Returns: the interface, and whether nothing is away: the interface, the address that it was chosen by, every
    ///   address of a family that it had and that is wanted. What is away is kept in the facts, since it may come back.
    func refreshed(
        _ configuration: DaemonConfiguration, from inventory: HostInventory, for families: WantedFamilies?,
        waits: Bool = true, at now: ContinuousClock.Instant = .now
    ) -> (interface: ExternalInterface, isWhole: Bool) {
        guard let link = inventory.links.first(where: { $0.name == facts.interface }), link.mtu > 0 else {
            return (self, false)
        }
        let held = inventory.held(link)
        let usable = inventory.usableAddresses(of: link)
        func mayReplace(_ other: Address) -> Bool {
            !waits || (!other.isAlone && seen[other.address].map { $0 + Self.replacing > now } ?? true)
        }
        func kept(_ old: IPAddress?, isIPv6: Bool) -> IPAddress? {
            let others = usable.filter { $0.address.isIPv6 == isIPv6 }
            guard let old else { return others.first?.address }
            guard let holding = held.first(where: { $0.address == old }) else {
                return old == chosenBy ? nil : others.first(where: mayReplace)?.address
            }
            // Chosen by name it stays, whatever it is; else one that is no more for new connections goes when it can.
            return holding.isUsable || old == chosenBy ? old : others.first?.address ?? old
        }
        let ipv4 = kept(facts.localIPv4.map(IPAddress.v4), isIPv6: false)?.v4
        let ipv6 = kept(facts.localIPv6.map(IPAddress.v6), isIPv6: true)?.v6
        var new = self
        new.facts.mtu = link.mtu
        // A family that nobody asks for makes no news.
        if families?.ipv4 != false { new.facts.localIPv4 = ipv4 ?? facts.localIPv4 }
        if families?.ipv6 != false { new.facts.localIPv6 = ipv6 ?? facts.localIPv6 }
        new.facts.publicIPv4 = configuration.publicIP ?? new.facts.localIPv4
        new.facts.publicIPv6 = configuration.publicIPv6 ?? new.facts.localIPv6
        let isWhole =
            (ipv4 != nil || !(families?.ipv4 ?? (facts.localIPv4 != nil)))
            && (ipv6 != nil || !(families?.ipv6 ?? (facts.localIPv6 != nil)))
            && (chosenBy.map { chosen in held.contains { $0.address == chosen } } ?? true)
        let prefixes = inventory.linkPrefixes(of: link)
        new.facts.linkPrefixes = isWhole ? prefixes : Set(prefixes + facts.linkPrefixes).sorted()
        if isWhole { new.note(held, at: now) }
        return (new, isWhole)
    }
}

extension HostInventory {
    /// The interface's addresses that other hosts can send to.
    fileprivate func held(_ link: Link) -> [Address] {
        addresses.filter { $0.interface == link.index && $0.isReachable && $0.isSettled }
    }

    /// The prefixes of the interface's own link.
    fileprivate func linkPrefixes(of link: Link) -> [IPPrefix] {
        Set(held(link).compactMap(\.prefix).filter { $0.length > 0 }).sorted()
    }
}
