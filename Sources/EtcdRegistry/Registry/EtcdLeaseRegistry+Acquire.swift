import Leases
import Logging

// Getting a subnet.
extension EtcdLeaseRegistry {
    /// Subnets that are tried before the list is made anew.
    static let attemptsPerList = 10

    /// Takes the lease that has this host's PublicIP, else the subnet of an earlier run, else any that is free.
    ///
    /// Ends without one when none is free, or when others were faster each time; then a new list is asked for.
    func acquire(_ session: any SubnetSession) async throws {
        isFull = false
        retryAt = nil
        try await attempt("take a lease") { try await tryToAcquire(session) }
        try await removeDoubles(session)
    }

    private func tryToAcquire(_ session: any SubnetSession) async throws {
        for _ in 0..<Self.attemptsPerList {
            guard let config = config?.value, let leases else { return }
            let found = candidate(config, leases)
            if let lease = found, let record = leases.record(named: lease.key.description) {
                let hasRival = leases.rival(of: lease) != nil
                if !hasRival, accepts(lease, config) {
                    if try await adopt(lease, record, config, session) { return }
                    continue
                }
                if hasRival || config.admittedPart(of: lease.key) == nil {
                    try await discard(
                        record, hasRival ? "overlaps an older lease" : "does not fit the network config", session)
                    continue
                }
            }
            switch try await create(config, replacing: found, session) {
            case .held, .full: return
            case .lostRace: continue
            }
        }
        relistReason = "others took every subnet that was tried"
    }

    /// Whether this host holds a lease of this key as it is. An operator's reservation counts with the families that it
    /// has.
    func accepts(_ lease: Lease, _ config: NetworkConfig) -> Bool {
        config.admits(lease.key) || lease.isReservation && config.keepsSubnets(of: lease.key)
    }

    /// The lease that is this host's own by its public address: one that fits before others, the subnet file's, then a
    /// reservation, then the oldest.
    private func candidate(_ config: NetworkConfig, _ leases: LeaseSet) -> Lease? {
        let ours = ours(config, leases).filter { lease in
            guard lease.isReservation else { return true }
            let rival = leases.rival(of: lease)
            if rival == nil, accepts(lease, config) { return true }
            // An operator made it, so that it is not for a daemon to delete.
            let reason =
                rival.map { "the reservation \(lease.key) overlaps the older lease \($0.lease.key)" }
                ?? "the reservation \(lease.key) does not fit the network config"
            if repeated.isDue(reason, at: clock.now) {
                logger.error(
                    "this host's reservation is not used, another subnet is taken",
                    metadata: [
                        "reason": "\(reason)", "remedy": "correct the network config, or delete the reservation",
                    ])
            }
            return false
        }
        let fitting = ours.filter { accepts($0, config) }
        let pool = fitting.isEmpty ? ours : fitting
        return pool.first { $0.key == claim.previous } ?? pool.first { $0.isReservation } ?? pool.first
    }

    /// The leases that are this host's own by its public address: IPv4's, as flannel has it, where the config has IPv4.
    func ours(_ config: NetworkConfig, _ leases: LeaseSet) -> [Lease] {
        config.ipv4 != nil && claim.publicIP != nil
            ? leases.leases(withPublicIP: claim.publicIP)
            : leases.leases(withPublicIP: nil, publicIPv6: claim.publicIPv6)
    }

    enum Creation {
        case held, full, lostRace
    }

    /// Makes a lease of a free subnet.
    ///
    /// - Parameter old: this host's lease so far, of which it keeps what the config admits. It is deleted once the new one
    ///   is certain, so that its peers always know one of the two.
    private func create(
        _ config: NetworkConfig, replacing old: Lease?, _ session: any SubnetSession
    ) async throws -> Creation {
        let key: SubnetKey
        do throws(AllocationError) {
            key = try allocate(config, replacing: old)
        } catch {
            isFull = true
            report(.unavailable(cause: error.description))
            return .full
        }
        let value = LeaseCodec.encode(try claim.attributes(config, key, old))
        switch try await session.create(name: key.description, value: value) {
        case .created(let record):
            spared = nil
            try hold(record, renewAt: clock.now + renewalInterval)
            mayHaveDoubles = true
            logger.notice(
                "lease acquired",
                metadata: [
                    "subnet": "\(key)", "how": old == nil ? "created" : "created in the place of the former one",
                ])
            return .held
        case .taken(let record):
            logger.info("another host was faster, trying another subnet", metadata: ["subnet": "\(key)"])
            change { $0.put(record) }
            return .lostRace
        }
    }

    /// A free subnet for this host: as far as may be the one that it holds or held before.
    func allocate(_ config: NetworkConfig, replacing old: Lease?) throws(AllocationError) -> SubnetKey {
        guard let leases else { throw .full(range: "a network that is not listed yet", taken: 0) }
        var taken = leases.takenKeys
        if let old { taken.remove(old.key) }
        let preferred = [old.flatMap { config.admittedPart(of: $0.key) }, spared, claim.previous].compactMap { $0 }
        let allocator = SubnetAllocator(config: config)
        do throws(AllocationError) {
            // The holder of a lease that has just been removed is most likely about to take it again.
            return try allocator.allocate(avoiding: taken.union(leases.departingKeys), preferring: preferred)
        } catch {
            return try allocator.allocate(avoiding: taken, preferring: preferred)
        }
    }

    /// Moves this host to a key that fits the config. The subnet of a family that goes on stays the same.
    func rekey(_ session: any SubnetSession) async throws {
        for _ in 0..<Self.attemptsPerList {
            guard let own, let config = config?.value, !accepts(own.lease, config) else { return }
            switch try await create(config, replacing: own.lease, session) {
            case .held: return try await removeDoubles(session)
            case .full: return
            case .lostRace: continue
            }
        }
        relistReason = "others took every subnet that was tried"
    }

    /// Takes over a lease with this host's PublicIP. It is written even if it says what this host would say: its time to
    /// live starts afresh, and a second host that runs with this PublicIP gets to know, as from a stock daemon.
    ///
    /// - Returns: Whether it is held now.
    private func adopt(
        _ lease: Lease, _ record: LeaseRecord, _ config: NetworkConfig, _ session: any SubnetSession
    ) async throws -> Bool {
        let attributes = try claim.attributes(config, lease.key, lease)
        let isGood = attributes == lease.attributes
        if isGood, record.isReservation {
            try hold(record, renewAt: nil)
        } else {
            let outcome: WriteOutcome
            do throws(StoreError) {
                let value = LeaseCodec.encode(attributes)
                outcome =
                    record.isReservation
                    ? try await session.replace(record, value: value)
                    : try await session.takeOver(record, value: value)
            } catch {
                guard isGood, error.isAboutTheRequest else { throw error }
                // Good as it is. How much of its time is left is not known, so that it is renewed first of all.
                logger.error("can't write this host's lease, used as it is", metadata: ["cause": "\(error)"])
                outcome = .written(record)
            }
            switch outcome {
            case .written(let written):
                let isTakenOver = written.modRevision != record.modRevision
                let renewAt = isTakenOver ? clock.now + renewalInterval : clock.now
                try hold(written, renewAt: written.isReservation ? nil : renewAt)
            case .changed(let current):
                change { set in current.map { set.put($0) } ?? set.remove(name: record.name) }
                return false
            }
        }
        mayHaveDoubles = true
        if !config.admits(lease.key), repeated.isDue(lease.key.description, at: clock.now) {
            logger.error(
                "this host's reservation lacks a family that the network config has; the host is without it",
                metadata: [
                    "reservation": "\(lease.key)",
                    "remedy": "make a reservation with a subnet of each family, and delete this one",
                ])
        }
        logger.notice(
            "lease acquired",
            metadata: ["subnet": "\(lease.key)", "how": record.isReservation ? "reservation" : "reused by PublicIP"])
        return true
    }

    private func discard(_ record: LeaseRecord, _ reason: String, _ session: any SubnetSession) async throws {
        logger.notice(
            "this host's lease can't be used, deleting it",
            metadata: ["subnet": "\(record.name)", "reason": "\(reason)"])
        if try await session.delete(record) {
            change { $0.remove(name: record.name) }
        } else {
            relistReason = "a lease changed while it was deleted"
        }
    }

    /// Makes a record this host's lease and publishes it.
    func hold(_ record: LeaseRecord, renewAt: ContinuousClock.Instant?) throws {
        let lease: Lease
        do throws(LeaseRejection) {
            lease = try LeaseCodec.decode(record)
        } catch {
            throw StoreError(.refused, cause: "our own lease can't be read back: \(error.reason)")
        }
        own = OwnHold(record: record, lease: lease, renewAt: renewAt)
        own?.isConfirmed = record.createRevision <= seenRevision || !mayOverlapUnseen
        rewrite.done()
        if let stillLost = Optional(lost.filter({ !$0.overlaps(lease.key) })), stillLost != lost {
            lost = stillLost
            pending.lostSubnets = lost
        }
        setOwn()
        change { $0.put(record) }
        if own?.isConfirmed == true { publishOwn() }
    }

    /// Whether a lease made in the same moment by another host may overlap one of ours though its key is another. With one
    /// family both would make the same key, and one of them fail.
    private var mayOverlapUnseen: Bool { config?.value.ipv4 != nil && config?.value.ipv6 != nil }

    private func publishOwn() {
        guard let own else { return }
        publishedKey = own.key
        pending.ownLease = own.lease
        if isStarted || pending.config != nil { report(.connected) }
    }

    /// Looks whether this host's lease can stay: an older one that overlaps it may have come to light. Where none did, and
    /// everything that came before the lease is known, it is certain.
    func checkOwn(_ session: any SubnetSession) async throws {
        for _ in 0..<Self.attemptsPerList {
            guard let own, let rival = leases?.rival(of: own.lease) else { break }
            try await yield(own, to: rival.lease, sparing: rival.spared, session)
        }
        guard let own, !own.isConfirmed, own.record.createRevision <= seenRevision else { return }
        self.own?.isConfirmed = true
        publishOwn()
        try await removeDoubles(session)
    }

    func yield(
        _ hold: OwnHold, to older: Lease, sparing spared: SubnetKey?, _ session: any SubnetSession
    ) async throws {
        // A key that was published and is taken again after its end is not certain, but has containers.
        if hold.isConfirmed || hold.key == publishedKey {
            logger.error(
                "this host's subnet overlaps another host's older lease; it is given up and another is taken",
                metadata: [
                    "subnet": "\(hold.key)", "older": "\(older.key)",
                    "holder": "\(older.attributes.publicAddress)",
                    "remedy": "restart containers on this host that have addresses of the old subnet",
                ])
            lost.formUnion(hold.key.parts.filter { part in spared.map { !$0.overlaps(part) } ?? true })
            pending.lostSubnets = lost
        } else {
            logger.info("another host was faster, trying another subnet", metadata: ["subnet": "\(hold.key)"])
        }
        own = nil
        rewrite.done()
        setOwn()
        // Stop forwarding before a new subnet is there.
        flush()
        self.spared = spared
        try await acquire(session)
    }

    /// Tells the set of leases what is ours.
    func setOwn() {
        let (key, publicIP, publicIPv6) = (own?.key, claim.publicIP, claim.publicIPv6)
        change { $0.setOwn(key: key, publicIP: publicIP, publicIPv6: publicIPv6) }
    }

    /// From one renewal to the next.
    var renewalInterval: Duration { store.leaseTimeToLive - renewMargin }
}

extension SubnetKey {
    /// A key for each family.
    fileprivate var parts: [SubnetKey] {
        [ipv4.map { SubnetKey(ipv4: $0) }, ipv6.map { SubnetKey(ipv6: $0) }].compactMap { $0 }
    }
}

extension LeaseAttributes {
    /// For the log.
    var publicAddress: String { publicIP?.description ?? publicIPv6?.description ?? "" }
}
