import KernelState
import Leases

/// The desired state of the whole overlay on this host, kept up to date lease by lease: a change of one peer costs the
/// work for one peer. Pure: the state depends on the backend, the own lease and the set of peers alone.
public struct OverlayState: Sendable {
    public private(set) var desired: DesiredState
    /// Peers that are not served, and why.
    public private(set) var refusals: [SubnetKey: PeerRefusal] = [:]

    private let backend: any Backend
    private var peers: [SubnetKey: Lease] = [:]

    public init(backend: any Backend, lease: Lease, peers: some Sequence<Lease> = []) {
        self.backend = backend
        desired = backend.hostState(lease: lease)
        for peer in peers.sorted(by: Self.older) { _ = add(peer) }
    }

    /// Follows `changes` and returns the step that the desired state took.
    public mutating func apply(_ changes: LeaseChanges) -> DesiredChange {
        var step = DesiredChange()
        for key in changes.removed {
            if let peer = peers.removeValue(forKey: key) { take(peer, into: &step) }
        }
        for (key, _) in changes.updated {
            if let peer = peers.removeValue(forKey: key) { take(peer, into: &step) }
        }
        for peer in changes.updated.values.sorted(by: Self.older) {
            if let state = add(peer) { step.added.merge(state) }
        }
        // A peer that was refused because of another's entry may be served now that the other is gone.
        for key in refusals.keys where changes.updated[key] == nil {
            guard let peer = peers[key], let state = add(peer) else { continue }
            step.added.merge(state)
        }
        return step
    }

    private mutating func take(_ peer: Lease, into step: inout DesiredChange) {
        if refusals.removeValue(forKey: peer.key) != nil { return }
        guard let state = try? backend.peerState(peer) else { return }
        desired.removeKeys(of: state)
        step.removed.merge(state)
    }

    private mutating func add(_ peer: Lease) -> DesiredState? {
        peers[peer.key] = peer
        do throws(PeerRefusal) {
            let state = try backend.peerState(peer)
            if let overlap = desired.overlap(with: state) {
                throw PeerRefusal("another lease is in the way: \(overlap)")
            }
            desired.merge(state)
            refusals[peer.key] = nil
            return state
        } catch {
            refusals[peer.key] = error
            return nil
        }
    }

    /// Of two peers in each other's way the one whose lease was there first is served.
    private static func older(_ lhs: Lease, _ rhs: Lease) -> Bool {
        (lhs.createRevision, lhs.key) < (rhs.createRevision, rhs.key)
    }
}
