import Backends
import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Netlink
import Operations

/// What the overlay says of itself, taken at one moment.
struct OverlaySnapshot: Sendable {
    var lease: Lease
    var backend: String
    var host: HostFacts
    var mtu: UInt32
    var devices: [InterfaceName]
    var overlay: OverlayState
    var ages: PeerAges
    /// Keys that are no leases, and why.
    var rejections: [String: String]
    /// Destinations where somebody else's route is.
    var conflicts: [String: String]
    /// The host's interfaces, with what they counted.
    var links: [Link]
}

extension StatusReport {
    /// Adds what `snapshot` says.
    mutating func describe(_ snapshot: OverlaySnapshot) {
        let facts = snapshot.host
        var host = Host(
            subnets: snapshot.lease.key.texts, isReservation: snapshot.lease.isReservation, backend: snapshot.backend,
            interface: "\(facts.interface)", addresses: snapshot.lease.attributes.addresses, mtu: snapshot.mtu)
        host.devices = snapshot.devices.map { name in Device(name, snapshot.links.first { $0.name == name }) }
        self.host = host
        peers = snapshot.overlay.peers.values.sorted { $0.key < $1.key }.map { Peer($0, in: snapshot) }
        ignored = snapshot.rejections.sorted { $0.key < $1.key }.map { IgnoredKey(name: $0.key, reason: $0.value) }
    }
}

extension StatusReport.Device {
    fileprivate init(_ name: InterfaceName, _ link: Link?) {
        self.init(name: "\(name)", isUp: link?.flags.contains(.up) ?? false)
        guard let link else { return }
        mtu = link.mtu
        guard let counted = link.statistics else { return }
        receivedBytes = counted.receivedBytes
        sentBytes = counted.sentBytes
        dropped = counted.receiveDrops + counted.sendDrops + counted.receiveErrors + counted.sendErrors
    }
}

extension StatusReport.Peer {
    fileprivate init(_ lease: Lease, in snapshot: OverlaySnapshot) {
        let key = lease.key
        let problem =
            snapshot.overlay.refusals[key].map(\.description)
            ?? key.texts.compactMap { snapshot.conflicts[$0] }.first.map { "in the way: route \($0)" }
        let state = snapshot.overlay.state(of: key)
        let routes = state?.routes.sorted { !$0.key.destination.isIPv6 && $1.key.destination.isIPv6 }
        // The userspace tunnel's device has one route for all peers.
        let hops = state?.nextHops.sorted { !$0.key.isIPv6 && $1.key.isIPv6 }
        let path = routes?.first.map { "\($0.value)" } ?? hops?.first.map { "tunnel to \($0.value)" }
        self.init(
            subnets: key.texts, addresses: lease.attributes.addresses, backend: lease.attributes.backendType,
            path: path, mtu: snapshot.mtu, age: snapshot.ages.seconds(of: key),
            problem: problem)
    }
}

extension SubnetKey {
    fileprivate var texts: [String] { [ipv4.map { "\($0)" }, ipv6.map { "\($0)" }].compactMap { $0 } }
}

extension LeaseAttributes {
    fileprivate var addresses: [String] { [publicIP.map { "\($0)" }, publicIPv6.map { "\($0)" }].compactMap { $0 } }
}
