import IPNetwork

// Judging.
extension LeaseSet {
    mutating func queueAll(where isWanted: (Entry) -> Bool) {
        for (slot, entry) in entries.enumerated() {
            if let entry, isWanted(entry) { enqueue(slot) }
        }
    }

    mutating func enqueue(_ slot: Int) {
        guard let entry = entries[slot], !entry.isQueued else { return }
        entries[slot]?.isQueued = true
        queue.push(entry.rank(slot))
    }

    /// Undoes the verdict on a slot; those it stood in the way of are queued.
    mutating func withdraw(_ slot: Int) {
        guard let entry = entries[slot] else { return }
        switch entry.verdict {
        case .unjudged: break
        case .rejected: rejected.remove(slot)
        case .blocked(let blocker, _):
            rejected.remove(slot)
            blocked[blocker]?.remove(slot)
            if blocked[blocker]?.isEmpty == true { blocked[blocker] = nil }
        case .own, .accepted:
            accepted.remove(slot: slot)
            if entry.verdict == .accepted, let lease = entry.lease {
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
    mutating func judge() -> LeaseChanges {
        isFilling = leases.isEmpty && before.isEmpty
        defer { isFilling = false }
        while let rank = queue.pop() {
            // The slot may have been freed, or freed and taken again, since it was queued; or its lease removed or back.
            guard let entry = entries[rank.slot], entry.isQueued else { continue }
            guard entry.rank(rank.slot) == rank else {
                if entry.record.name == rank.name { queue.push(entry.rank(rank.slot)) }
                continue
            }
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
        let isOwn = isOwn(entry)
        let claim: AcceptedLeases.Claim
        if isOwn, let key = entry.key {
            if entry.departure != nil { return discard(entry.record.name) }
            // Whatever it says: it is for its holder to mend.
            claim = AcceptedLeases.Claim(key, publicIP: own.publicIP, publicIPv6: own.publicIPv6, in: config)
        } else {
            guard let lease = entry.lease else {
                change(slot, to: .rejected(reason: entry.malformed ?? "the value can't be read"))
                return
            }
            if let reason = config.objection(to: lease, own: own) {
                change(slot, to: .rejected(reason: reason))
                return
            }
            claim = AcceptedLeases.Claim(lease, in: config)
        }
        let rank = entry.rank(slot)
        let rivals = accepted.conflicts(with: claim, except: slot)
        for rival in rivals {
            guard let other = entries[rival.slot], other.rank(rival.slot) < rank else { continue }
            let name = other.record.name
            let whose = self.isOwn(other) ? "this host's own lease \(name)" : "the older lease of \(name)"
            change(slot, to: .blocked(by: rival.slot, reason: "\(rival.reason) \(whose)"))
            // What was removed has had its time when its subnet is another's.
            if entries[slot] != nil { blocked[rival.slot, default: []].insert(slot) }
            return
        }
        for rival in rivals {
            withdraw(rival.slot)
            enqueue(rival.slot)
        }
        guard entry.verdict != (isOwn ? .own : .accepted) || accepted[slot] != claim else { return }
        withdraw(slot)
        if !isOwn, let lease = entry.lease {
            note(lease.key)
            leases[lease.key] = lease
        }
        accepted.insert(claim, slot: slot)
        entries[slot]?.verdict = isOwn ? .own : .accepted
    }

    private mutating func change(_ slot: Int, to verdict: Verdict) {
        if let entry = entries[slot], entry.departure != nil { return discard(entry.record.name) }
        withdraw(slot)
        entries[slot]?.verdict = verdict
        rejected.insert(slot)
    }
}

extension OwnLease {
    /// Whether this key has a say in the verdict on a record by itself. Those that its record blocks are queued with it.
    func concerns(_ entry: LeaseSet.Entry) -> Bool {
        guard let key else { return false }
        if entry.key == key { return true }
        guard let attributes = entry.lease?.attributes else { return false }
        return holds(attributes.publicIP, key.ipv4) || holds(attributes.publicIPv6, key.ipv6)
    }

    private func holds<Address>(_ address: Address?, _ subnet: Prefix<Address>?) -> Bool {
        address.flatMap { address in subnet?.contains(address) } ?? false
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
