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
            if let lease = candidate(config, leases), let record = leases.record(named: lease.key.description) {
                if config.admits(lease.key) {
                    if try await adopt(lease, record, config, session) { return }
                } else {
                    try await discard(record, session)
                }
                continue
            }
            guard let key = free(config, leases) else { return }
            let value = LeaseCodec.encode(try claim.attributes(config, key, nil))
            switch try await session.create(name: key.description, value: value) {
            case .created(let record):
                try hold(record, renewAt: clock.now + renewalInterval)
                mayHaveDoubles = true
                logger.notice("lease acquired", metadata: ["subnet": "\(key)", "how": "created"])
                return
            case .taken(let record):
                logger.info("another host was faster, trying another subnet", metadata: ["subnet": "\(key)"])
                change { $0.put(record) }
            }
        }
        relistReason = "others took every subnet that was tried"
    }

    /// The lease that is this host's own by its PublicIP: the subnet file's first, then a reservation, then the oldest.
    private func candidate(_ config: NetworkConfig, _ leases: LeaseSet) -> Lease? {
        guard claim.publicIP != nil || claim.publicIPv6 != nil else { return nil }
        let ours = leases.leases(withPublicIP: claim.publicIP, publicIPv6: claim.publicIPv6).filter { lease in
            if !lease.isReservation || config.admits(lease.key) { return true }
            // An operator made it, so that it is not for a daemon to delete.
            let reason = "the reservation \(lease.key) does not fit the network config"
            if repeated.isDue(reason, at: clock.now) {
                logger.error(
                    "this host's reservation is not used, another subnet is taken",
                    metadata: [
                        "reason": "\(reason)", "remedy": "correct the network config, or delete the reservation",
                    ])
            }
            return false
        }
        return ours.first { $0.key == claim.previous } ?? ours.first { $0.isReservation } ?? ours.first
    }

    private func free(_ config: NetworkConfig, _ leases: LeaseSet) -> SubnetKey? {
        let taken = leases.takenKeys
        if let previous = claim.previous, config.admits(previous), !taken.contains(where: { $0.overlaps(previous) }) {
            return previous
        }
        do throws(AllocationError) {
            return try SubnetAllocator(config: config).allocate(avoiding: taken)
        } catch {
            isFull = true
            report(.unavailable(cause: error.description))
            return nil
        }
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
        logger.notice(
            "lease acquired",
            metadata: ["subnet": "\(lease.key)", "how": record.isReservation ? "reservation" : "reused by PublicIP"])
        return true
    }

    private func discard(_ record: LeaseRecord, _ session: any SubnetSession) async throws {
        logger.notice(
            "this host's lease does not fit the network config, deleting it",
            metadata: ["subnet": "\(record.name)"])
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
        rewrite.done()
        if lost.remove(lease.key) != nil { pending.lostSubnets = lost }
        setOwn()
        change { $0.put(record) }
        pending.ownLease = lease
        if isStarted || pending.config != nil { report(.connected) }
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
    fileprivate func overlaps(_ other: SubnetKey) -> Bool {
        if let left = ipv4, let right = other.ipv4, left.overlaps(right) { return true }
        if let left = ipv6, let right = other.ipv6, left.overlaps(right) { return true }
        return false
    }
}
