import IPNetwork

/// The leases of the other hosts: which of the registry's records are taken for good, and which are ignored and why.
///
/// A record is accepted when it is well-formed, lies in the network, has a public address that a host can have, and
/// conflicts with no older lease. Of two hosts that conflict, by an overlap or by one public address, the one whose key
/// was created first stays: a newcomer must not be able to knock out a host that is running, by mistake or on purpose,
/// and every host of the network must come to the same verdict. When the first one goes, the other is accepted. This
/// host's own lease is judged likewise: ``rival(of:)`` tells whether it has to be given up.
///
/// Families: a key counts with those of its families that the config has on, and needs at least one. So an IPv4-only
/// host stays reachable over IPv4 while a network is moved to dual stack, and the IPv6 part of a key is ignored, with
/// PublicIPv6, while the config is IPv4-only; flannel's vxlan does both. The length of a peer's subnet may differ from
/// SubnetLen as long as it is longer than the network's, since the config may have changed after the subnet was leased;
/// flannel does not look at it either.
///
/// A lease that is removed may be kept for a while: its host most likely lives and is about to take it again. Until then
/// it yields to any other lease.
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
        /// Removed from the registry, and kept until then.
        var departure: ContinuousClock.Instant?

        /// What was removed is the weakest.
        func rank(_ slot: Int) -> LeaseRank {
            LeaseRank(
                createRevision: departure == nil ? record.createRevision : .max, name: record.name, slot: slot)
        }
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
    public internal(set) var leases: [SubnetKey: Lease] = [:]

    private var slots: [String: Int] = [:]
    /// `nil` where a slot is free.
    var entries: [Entry?] = []
    private var freeSlots: [Int] = []
    var rejected: Set<Int> = []
    /// The slots that the lease in a slot blocks.
    var blocked: [Int: Set<Int>] = [:]
    var accepted = AcceptedLeases()
    var queue = LeaseQueue()
    /// Those that were removed and are kept, in the order of their ends; some may be back, or gone.
    private var departures: [(end: ContinuousClock.Instant, name: String)] = []
    /// What `leases` held before the change under way, for the keys that it touched.
    var before: [SubnetKey: Lease?] = [:]
    /// The change under way began with no accepted lease, so that what there is at its end is the difference.
    var isFilling = false

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
            guard let entry = entries[slot], !isOwn(entry) else { return nil }
            switch entry.verdict {
            case .rejected(let reason), .blocked(_, let reason):
                return LeaseRejection(name: entry.record.name, reason: reason)
            case .unjudged, .own, .accepted: return nil
            }
        }.sorted { $0.name < $1.name }
    }

    /// Every subnet that a record is filed under, ignored ones and our own too: an allocation has to avoid them all.
    public var takenKeys: Set<SubnetKey> {
        var keys = Set(entries.lazy.compactMap { $0?.departure == nil ? $0?.key : nil })
        if let key = own.key { keys.insert(key) }
        return keys
    }

    /// The subnets of leases that were removed and are kept for a while: an allocation better avoids them.
    public var departingKeys: Set<SubnetKey> {
        Set(departures.lazy.compactMap { entry(named: $0.name) }.filter { $0.departure != nil }.compactMap(\.key))
    }

    /// The record as the registry holds it.
    public func record(named name: String) -> LeaseRecord? {
        entry(named: name).flatMap { $0.departure == nil ? $0.record : nil }
    }

    private func entry(named name: String) -> Entry? { slots[name].flatMap { entries[$0] } }

    /// Well-formed leases with this public address, the oldest first, whatever the verdict on them: those that a host
    /// with this address may take for its own.
    public func leases(withPublicIP publicIP: IPv4Address?, publicIPv6: IPv6Address? = nil) -> [Lease] {
        leases { attributes in
            publicIP.map { attributes.publicIP == $0 } ?? publicIPv6.map { attributes.publicIPv6 == $0 } ?? false
        }
    }

    /// Well-formed leases whose attributes fit, the oldest first, whatever the verdict on them.
    public func leases(where fits: (LeaseAttributes) -> Bool) -> [Lease] {
        entries.compactMap { entry -> Lease? in
            guard let entry, entry.departure == nil, let lease = entry.lease, fits(lease.attributes) else { return nil }
            return lease
        }.sorted { ($0.createRevision, $0.key.description) < ($1.createRevision, $1.key.description) }
    }

    /// The accepted lease that the host with `lease` has to yield to, since it is older and overlaps it; with a lease
    /// that is not in the registry, any that overlaps it. Accepted or about to be: its host may still hold a former one.
    ///
    /// - Returns: that lease, and the subnets of `lease` that it and its like leave alone; `nil` where nothing overlaps.
    public func rival(of lease: Lease) -> (lease: Lease, spared: SubnetKey?)? {
        let name = lease.key.description
        let slot = slots[name] ?? -1
        let rank = entry(named: name)?.rank(slot) ?? LeaseRank(createRevision: .max, name: name, slot: slot)
        let successors = successors
        func strongest(_ key: SubnetKey) -> Lease? {
            let conflicts = accepted.conflicts(with: AcceptedLeases.Claim(key, in: config), except: slot).map(\.slot)
            return (conflicts + successors.filter { entries[$0]?.key?.overlaps(key) == true })
                .compactMap { slot in entries[slot].map { ($0, $0.rank(slot)) } }
                .filter { $0.0.departure == nil && $0.1 < rank && !isOwn($0.0) }
                .min { $0.1 < $1.1 }?.0.lease
        }
        let ipv4 = lease.key.ipv4.flatMap { strongest(SubnetKey(ipv4: $0)) }
        let ipv6 = lease.key.ipv6.flatMap { strongest(SubnetKey(ipv6: $0)) }
        guard let rival = ipv4 ?? ipv6 else { return nil }
        return (
            rival, SubnetKey(of: ipv4 == nil ? lease.key.ipv4 : nil, ipv6 == nil ? lease.key.ipv6 : nil)
        )
    }

    /// The slots of leases that only wait for their own host's former one to go: that host is moving to another key.
    private var successors: [Int] {
        rejected.filter { slot in
            guard
                let entry = entries[slot], case .blocked(let blocker, _) = entry.verdict, !isOwn(entry),
                let new = entry.lease?.attributes, let old = entries[blocker]?.lease?.attributes
            else { return false }
            return new.publicIP != nil && new.publicIP == old.publicIP
                || new.publicIPv6 != nil && new.publicIPv6 == old.publicIPv6
        }
    }

    /// By its name. A name that spells the subnet in another way (`fd00:0:0:0::-64`) is another key of the registry, and
    /// ours when it has our address.
    func isOwn(_ entry: Entry) -> Bool {
        guard let key = own.key, entry.key == key else { return false }
        if entry.record.name == key.description { return true }
        guard let attributes = entry.lease?.attributes else { return false }
        return own.publicIP.map { attributes.publicIP == $0 } ?? own.publicIPv6.map { attributes.publicIPv6 == $0 }
            ?? false
    }
}

// Changing.
extension LeaseSet {
    /// Says what is ours. A record under our own key is then neither a peer's lease nor among the rejections.
    public mutating func setOwn(
        key: SubnetKey?, publicIP: IPv4Address?, publicIPv6: IPv6Address?
    ) -> LeaseChanges {
        let new = OwnLease(key: key, publicIP: publicIP, publicIPv6: publicIPv6)
        let old = own
        guard new != old else { return LeaseChanges() }
        own = new
        if (new.publicIP, new.publicIPv6) == (old.publicIP, old.publicIPv6) {
            // Of thousands, a new key touches few.
            queueAll { entry in old.concerns(entry) || new.concerns(entry) }
        } else {
            queueAll { _ in true }
        }
        return judge()
    }

    /// Judges every record again by another config.
    public mutating func setConfig(_ config: NetworkConfig) -> LeaseChanges {
        guard config != self.config else { return LeaseChanges() }
        self.config = config
        queueAll { _ in true }
        return judge()
    }

    /// Takes a fresh list for all that there is. Of records with one name the last counts.
    ///
    /// - Parameter end: until when accepted leases that are missing are kept, unless another stands in their way.
    public mutating func replaceAll(
        _ records: [LeaseRecord], keepingMissingUntil end: ContinuousClock.Instant? = nil
    ) -> LeaseChanges {
        if slots.isEmpty {
            slots.reserveCapacity(records.count)
            entries.reserveCapacity(records.count)
            leases.reserveCapacity(records.count)
        } else {
            var missing = slots
            for record in records { missing[record.name] = nil }
            for name in missing.keys { take(name, keepingUntil: end) }
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
    ///
    /// - Parameter end: until when an accepted lease is kept all the same, unless another stands in its way. It must not
    ///   be before that of an earlier removal.
    public mutating func remove(name: String, keepingUntil end: ContinuousClock.Instant? = nil) -> LeaseChanges {
        take(name, keepingUntil: end)
        return judge()
    }

    /// When ``dropDeparted(_:)`` may have something to do.
    public var nextDeparture: ContinuousClock.Instant? { departures.first?.end }

    /// Drops the removed leases that were kept until `now` or earlier.
    public mutating func dropDeparted(_ now: ContinuousClock.Instant) -> LeaseChanges {
        let due = departures.prefix { $0.end <= now }
        guard !due.isEmpty else { return LeaseChanges() }
        departures.removeFirst(due.count)
        for departure in due where entry(named: departure.name)?.departure == departure.end {
            discard(departure.name)
        }
        return judge()
    }

    private mutating func take(_ name: String, keepingUntil end: ContinuousClock.Instant?) {
        guard let end, let slot = slots[name], let entry = entries[slot], entry.verdict == .accepted else {
            return discard(name)
        }
        guard entry.departure == nil else { return }
        entries[slot]?.departure = end
        departures.append((end, name))
        // Those that it stood in the way of stand in its way now.
        for waiting in blocked.removeValue(forKey: slot) ?? [] { enqueue(waiting) }
    }

    private mutating func store(_ record: LeaseRecord) {
        let slot: Int
        if let known = slots[record.name] {
            guard let entry = entries[known], entry.record != record || entry.departure != nil else { return }
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

    mutating func discard(_ name: String) {
        guard let slot = slots.removeValue(forKey: name) else { return }
        withdraw(slot)
        entries[slot] = nil
        freeSlots.append(slot)
    }
}
