import IPNetwork
import KernelState
import Leases

/// Which peers of the overlay this host serves, kept up to date lease by lease: a change of one peer costs the work for
/// one peer. Pure: what is desired depends on the backend, the own lease and the set of peers alone.
public struct OverlayState: Sendable {
    /// Peers that are not served, and why.
    public private(set) var refusals: [SubnetKey: PeerRefusal] = [:]
    /// Every peer's lease, also of those that are not served.
    public private(set) var peers: [SubnetKey: Lease] = [:]

    private let backend: any Backend
    private let host: DesiredState
    /// The VTEPs in use and whose they are, `nil` for our own: two peers differ in all else, since their subnets do.
    private var vteps: [FDBKey: SubnetKey?] = [:]
    private var scratch = DesiredState()

    /// With no peers yet, only what the host itself needs for `lease`.
    public init(backend: any Backend, lease: Lease) {
        self.backend = backend
        host = backend.hostState(lease: lease)
        for link in host.links.values {
            if let mac = link.mac { vteps[FDBKey(interface: link.name, mac: mac)] = .some(nil) }
        }
    }

    /// What the kernel should hold: this host's part and each served peer's.
    public var desired: DesiredState {
        var desired = host
        for peer in peers.values where refusals[peer.key] == nil {
            // What is served was added before, so it does not throw.
            try? backend.addPeer(peer, to: &desired)
        }
        return desired
    }

    /// What the kernel should hold for the sake of one peer; `nil` for one that is not served.
    public func state(of key: SubnetKey) -> DesiredState? {
        guard let peer = peers[key], refusals[key] == nil else { return nil }
        var state = DesiredState()
        return (try? backend.addPeer(peer, to: &state)) == nil ? nil : state
    }

    /// How many peers are served.
    public var servedCount: Int { peers.count - refusals.count }

    /// Follows `changes` and returns the step that the desired state takes.
    public mutating func apply(_ changes: LeaseChanges) -> DesiredChange {
        var step = DesiredChange()
        for key in changes.removed { take(key, into: &step) }
        for key in changes.updated.keys { take(key, into: &step) }
        for peer in changes.updated.values.sorted(by: Self.older) { add(peer, into: &step) }
        // A peer that was refused because of another's VTEP may be served now that the other is gone.
        for peer in refusals.keys.compactMap({ peers[$0] }).sorted(by: Self.older)
        where changes.updated[peer.key] == nil {
            add(peer, into: &step)
        }
        return step
    }

    private mutating func take(_ key: SubnetKey, into step: inout DesiredChange) {
        guard let peer = peers.removeValue(forKey: key), refusals.removeValue(forKey: key) == nil else { return }
        var state = DesiredState()
        guard (try? backend.addPeer(peer, to: &state)) != nil else { return }
        for vtep in state.fdb.keys { vteps[vtep] = nil }
        step.removed.merge(state)
        step.added.removeKeys(of: state)
    }

    private mutating func add(_ peer: Lease, into step: inout DesiredChange) {
        peers[peer.key] = peer
        do throws(PeerRefusal) {
            // One pad for all peers: thousands of short-lived dictionaries cost more than what is in them.
            scratch.removeAll()
            try backend.addPeer(peer, to: &scratch)
            for vtep in scratch.fdb.keys { try claim(vtep, for: peer, into: &step) }
            step.added.merge(scratch)
            refusals[peer.key] = nil
        } catch {
            for (vtep, holder) in vteps where holder == peer.key { vteps[vtep] = nil }
            refusals[peer.key] = error
        }
    }

    /// Takes the VTEP for the peer, from a peer with a newer lease if need be.
    private mutating func claim(_ vtep: FDBKey, for peer: Lease, into step: inout DesiredChange) throws(PeerRefusal) {
        if let holder = vteps[vtep] {
            let refusal = PeerRefusal(
                "its VTEP MAC address \(vtep.mac) is in use by another host: remove one of the two leases and restart that host's daemon"
            )
            guard let key = holder, let other = peers[key], Self.older(peer, other) else { throw refusal }
            take(key, into: &step)
            peers[key] = other
            refusals[key] = refusal
        }
        vteps[vtep] = .some(peer.key)
    }

    /// Of two peers in each other's way the one whose lease was there first is served.
    private static func older(_ lhs: Lease, _ rhs: Lease) -> Bool {
        (lhs.createRevision, lhs.key) < (rhs.createRevision, rhs.key)
    }
}
