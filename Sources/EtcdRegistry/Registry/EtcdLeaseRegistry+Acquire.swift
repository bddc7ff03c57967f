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
        for _ in 0..<Self.attemptsPerList {
            guard let config = config?.value, let leases else { return }
            if let lease = candidate(leases), let record = leases.record(named: lease.key.description) {
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
    private func candidate(_ leases: LeaseSet) -> Lease? {
        guard claim.publicIP != nil || claim.publicIPv6 != nil else { return nil }
        let ours = leases.leases(withPublicIP: claim.publicIP, publicIPv6: claim.publicIPv6)
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

    /// Takes over a lease with this host's PublicIP, written again only if what it says is not what this host would
    /// say.
    ///
    /// - Returns: Whether it is held now.
    private func adopt(
        _ lease: Lease, _ record: LeaseRecord, _ config: NetworkConfig, _ session: any SubnetSession
    ) async throws -> Bool {
        let attributes = try claim.attributes(config, lease.key, lease)
        var adopted = record
        if attributes != lease.attributes {
            switch try await session.replace(record, value: LeaseCodec.encode(attributes)) {
            case .written(let written): adopted = written
            case .changed(let current):
                change { set in current.map { set.put($0) } ?? set.remove(name: record.name) }
                return false
            }
        }
        // How much of its time is left is not known, so that it is renewed first of all.
        try hold(adopted, renewAt: adopted.isReservation ? nil : clock.now)
        logger.notice(
            "lease acquired",
            metadata: ["subnet": "\(lease.key)", "how": record.isReservation ? "reservation" : "reused by PublicIP"])
        return true
    }

    private func discard(_ record: LeaseRecord, _ session: any SubnetSession) async throws {
        logger.notice(
            "this host's lease does not fit the network config, deleting it",
            metadata: ["subnet": "\(record.name)", "reservation": "\(record.isReservation)"])
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
