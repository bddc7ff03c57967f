import IPNetwork

/// The leases of the other hosts: which of the registry's records are taken for good, and which are ignored and why.
///
/// A record is accepted when it is well-formed, lies in the network, has a public address that a host can have, and
/// conflicts neither with our own lease nor with an accepted one. Of two hosts that conflict, by an overlap or by one
/// public address, the one whose key was created first stays: a newcomer must not be able to knock out a host that is
/// running, by mistake or on purpose, and every host of the network must come to the same verdict. When the first one
/// goes, the other is accepted.
///
/// Families: a key counts with those of its families that the config has on, and needs at least one. So an IPv4-only
/// host stays reachable over IPv4 while a network is moved to dual stack, and the IPv6 part of a key is ignored, with
/// PublicIPv6, while the config is IPv4-only; flannel's vxlan does both. The length of a peer's subnet may differ from
/// SubnetLen as long as it is longer than the network's, since the config may have changed after the subnet was leased;
/// flannel does not look at it either.
///
/// Each change costs time for the leases that it touches and the logarithm of the others. What a backend needs to find in
/// BackendData is for the backend to check.
public struct LeaseSet: Sendable {
    struct Entry {
        let record: LeaseRecord
        let key: SubnetKey?
        let lease: Lease?
        /// Why it was malformed.
        let malformed: String?
        var verdict = Verdict.unjudged
        var isQueued = false

        var rank: (Int64, String) { (record.createRevision, record.name) }
    }

    enum Verdict: Equatable {
        case unjudged
        case own
        case accepted
        case rejected(reason: String)
        /// Rejected for as long as the lease in this slot is accepted.
        case blocked(by: Int, reason: String)
    }

    private(set) var config: NetworkConfig
    private(set) var own = OwnLease()
    /// Accepted leases of peers.
    public private(set) var leases: [SubnetKey: Lease] = [:]

    private var slots: [String: Int] = [:]
    /// `nil` where a slot is free.
    private var entries: [Entry?] = []
    private var freeSlots: [Int] = []
    private var rejected: Set<Int> = []
    /// The slots that the lease in a slot blocks.
    private var blocked: [Int: Set<Int>] = [:]
    private var accepted = AcceptedLeases()
    private var queue = LeaseQueue()
    /// What `leases` held before the change under way, for the keys that it touched.
    private var before: [SubnetKey: Lease?] = [:]
    /// The change under way began with no accepted lease, so that what there is at its end is the difference.
    private var isFilling = false

    /// An empty set.
    public init(config: NetworkConfig) {
        self.config = config
    }
}

// Reading.
extension LeaseSet {
    /// Records that are ignored, by name; our own is never among them.
    public var rejections: [LeaseRejection] {
        rejected.compactMap { slot -> LeaseRejection? in
            guard let entry = entries[slot] else { return nil }
            switch entry.verdict {
            case .rejected(let reason), .blocked(_, let reason):
                return LeaseRejection(name: entry.record.name, reason: reason)
            case .unjudged, .own, .accepted: return nil
            }
        }.sorted { $0.name < $1.name }
    }

    /// Every subnet that a record is filed under, ignored ones and our own too: an allocation has to avoid them all.
    public var takenKeys: Set<SubnetKey> {
        var keys = Set(entries.lazy.compactMap { $0?.key })
        if let key = own.key { keys.insert(key) }
        return keys
    }

    /// The record as the registry holds it.
    public func record(named name: String) -> LeaseRecord? {
        slots[name].flatMap { entries[$0]?.record }
    }

    /// Well-formed leases with this public address, the oldest first, whatever the verdict on them: those that a host
    /// with this address may take for its own.
    public func leases(withPublicIP publicIP: IPv4Address?, publicIPv6: IPv6Address? = nil) -> [Lease] {
        entries.compactMap { entry -> Entry? in
            guard let attributes = entry?.lease?.attributes else { return nil }
            let matches =
                publicIP.map { attributes.publicIP == $0 } ?? publicIPv6.map { attributes.publicIPv6 == $0 } ?? false
            return matches ? entry : nil
        }.sorted { $0.rank < $1.rank }.compactMap(\.lease)
    }
}

// Changing.
extension LeaseSet {
    /// Says what is ours. A record under our own key is then neither a peer's lease nor rejected.
    public mutating func setOwn(
        key: SubnetKey?, publicIP: IPv4Address?, publicIPv6: IPv6Address?
    ) -> LeaseChanges {
        let new = OwnLease(key: key, publicIP: publicIP, publicIPv6: publicIPv6)
        guard new != own else { return LeaseChanges() }
        own = new
        queueAll()
        return judge()
    }

    /// Judges every record again by another config.
    public mutating func setConfig(_ config: NetworkConfig) -> LeaseChanges {
        guard config != self.config else { return LeaseChanges() }
        self.config = config
        queueAll()
        return judge()
    }

    /// Takes a fresh list for all that there is. Of records with one name the last counts.
    public mutating func replaceAll(_ records: [LeaseRecord]) -> LeaseChanges {
        if slots.isEmpty {
            slots.reserveCapacity(records.count)
            entries.reserveCapacity(records.count)
            leases.reserveCapacity(records.count)
        } else {
            var missing = slots
            for record in records { missing[record.name] = nil }
            for name in missing.keys { discard(name) }
        }
        for record in records { store(record) }
        return judge()
    }

    /// Takes a record that is new or was written again. A renewal, which changes the mod revision alone, changes nothing.
    public mutating func put(_ record: LeaseRecord) -> LeaseChanges {
        store(record)
        return judge()
    }

    /// Drops the record of this name, if there is one.
    public mutating func remove(name: String) -> LeaseChanges {
        discard(name)
        return judge()
    }

    private mutating func store(_ record: LeaseRecord) {
        let slot: Int
        if let known = slots[record.name] {
            guard let entry = entries[known], entry.record != record else { return }
            if renew(known, entry, record) { return }
            withdraw(known)
            slot = known
        } else {
            slot = freeSlots.popLast() ?? entries.count
            if slot == entries.count { entries.append(nil) }
            slots[record.name] = slot
        }
        do {
            let lease = try LeaseCodec.decode(record)
            entries[slot] = Entry(record: record, key: lease.key, lease: lease, malformed: nil)
        } catch {
            entries[slot] = Entry(record: record, key: SubnetKey(record.name), lease: nil, malformed: error.reason)
        }
        enqueue(slot)
    }

    /// Takes over the mod revision when nothing else is new.
    private mutating func renew(_ slot: Int, _ entry: Entry, _ record: LeaseRecord) -> Bool {
        let old = entry.record
        guard
            old.createRevision == record.createRevision, old.isReservation == record.isReservation,
            old.value == record.value
        else { return false }
        let lease = entry.lease.map {
            Lease(
                key: $0.key, attributes: $0.attributes, isReservation: $0.isReservation,
                createRevision: $0.createRevision, modRevision: record.modRevision)
        }
        entries[slot] = Entry(
            record: record, key: entry.key, lease: lease, malformed: entry.malformed, verdict: entry.verdict,
            isQueued: entry.isQueued)
        if entry.verdict == .accepted, let lease { leases[lease.key] = lease }
        return true
    }

    private mutating func discard(_ name: String) {
        guard let slot = slots.removeValue(forKey: name) else { return }
        withdraw(slot)
        entries[slot] = nil
        freeSlots.append(slot)
    }
}

// Judging.
extension LeaseSet {
    private mutating func queueAll() {
        for slot in entries.indices { enqueue(slot) }
    }

    private mutating func enqueue(_ slot: Int) {
        guard let entry = entries[slot], !entry.isQueued else { return }
        entries[slot]?.isQueued = true
        queue.push(LeaseRank(createRevision: entry.record.createRevision, name: entry.record.name, slot: slot))
    }

    /// Undoes the verdict on a slot; those it stood in the way of are queued.
    private mutating func withdraw(_ slot: Int) {
        guard let entry = entries[slot] else { return }
        switch entry.verdict {
        case .unjudged, .own: break
        case .rejected: rejected.remove(slot)
        case .blocked(let blocker, _):
            rejected.remove(slot)
            blocked[blocker]?.remove(slot)
            if blocked[blocker]?.isEmpty == true { blocked[blocker] = nil }
        case .accepted:
            if let lease = entry.lease {
                accepted.remove(slot: slot)
                note(lease.key)
                leases[lease.key] = nil
            }
            for waiting in blocked.removeValue(forKey: slot) ?? [] { enqueue(waiting) }
        }
        entries[slot]?.verdict = .unjudged
    }

    private mutating func note(_ key: SubnetKey) {
        if !isFilling, before[key] == nil { before[key] = .some(leases[key]) }
    }

    /// Judges what is queued. The strongest comes first and only weaker ones can be queued by a verdict, so that each
    /// is judged once and by verdicts that stay.
    private mutating func judge() -> LeaseChanges {
        isFilling = leases.isEmpty && before.isEmpty
        defer { isFilling = false }
        while let rank = queue.pop() {
            // The slot may have been freed, or freed and taken again, since it was queued.
            guard
                let entry = entries[rank.slot], entry.isQueued, entry.record.name == rank.name,
                entry.record.createRevision == rank.createRevision
            else { continue }
            entries[rank.slot]?.isQueued = false
            settle(rank.slot, entry)
        }
        if isFilling { return LeaseChanges(updated: leases) }
        var changes = LeaseChanges()
        for (key, old) in before {
            switch (old, leases[key]) {
            case (let old, let new?): if !new.isRenewal(of: old) { changes.update(new) }
            case (_?, nil): changes.remove(key)
            case (nil, nil): break
            }
        }
        before = [:]
        return changes
    }

    private mutating func settle(_ slot: Int, _ entry: Entry) {
        if let key = own.key, entry.key == key {
            change(slot, to: .own)
            return
        }
        guard let lease = entry.lease else {
            change(slot, to: .rejected(reason: entry.malformed ?? "the value can't be read"))
            return
        }
        if let reason = config.objection(to: lease, own: own) {
            change(slot, to: .rejected(reason: reason))
            return
        }
        let claim = AcceptedLeases.Claim(lease, in: config)
        let rivals = accepted.conflicts(with: claim, except: slot)
        for rival in rivals {
            guard let other = entries[rival.slot], other.rank < entry.rank else { continue }
            change(slot, to: .blocked(by: rival.slot, reason: "\(rival.reason) of \(other.record.name)"))
            blocked[rival.slot, default: []].insert(slot)
            return
        }
        for rival in rivals {
            withdraw(rival.slot)
            enqueue(rival.slot)
        }
        guard entry.verdict != .accepted || accepted[slot] != claim else { return }
        withdraw(slot)
        note(lease.key)
        leases[lease.key] = lease
        accepted.insert(claim, slot: slot)
        entries[slot]?.verdict = .accepted
    }

    private mutating func change(_ slot: Int, to verdict: Verdict) {
        withdraw(slot)
        entries[slot]?.verdict = verdict
        if verdict != .own { rejected.insert(slot) }
    }
}

extension Lease {
    /// Whether this differs from `old` in the mod revision at most.
    fileprivate func isRenewal(of old: Lease?) -> Bool {
        guard let old else { return false }
        return key == old.key && attributes == old.attributes && isReservation == old.isReservation
            && createRevision == old.createRevision
    }
}
