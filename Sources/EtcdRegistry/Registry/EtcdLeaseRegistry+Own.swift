import Leases
import Logging

// Keeping the lease.
extension EtcdLeaseRegistry {
    /// After a list: is the lease still ours and as it should be?
    func settleOwn(_ session: any SubnetSession) async throws {
        if let own {
            switch leases?.record(named: own.record.name) {
            case nil: try await reclaim(session)
            case let record?:
                if record.modRevision != own.record.modRevision || record.createRevision != own.record.createRevision {
                    try await ownRecordChanged(record, session)
                }
            }
            renewSoon()
            if self.own != nil { try await publishAddress(session) }
        }
        if own == nil, relistReason == nil { try await acquire(session) }
    }

    /// A restored or restarted registry may count the time to live from another start, so that a lease is renewed
    /// after a reconnect; not by every host at once.
    private func renewSoon() {
        guard let renewAt = own?.renewAt else { return }
        own?.renewAt = min(renewAt, clock.now + .seconds(60) * Double.random(in: 0.1...1))
    }

    /// Our key was written, and not by us.
    func ownRecordChanged(_ record: LeaseRecord, _ session: any SubnetSession) async throws {
        guard let own else { return }
        change { $0.put(record) }
        let lease = try? LeaseCodec.decode(record)
        guard let lease else {
            overwritten(by: record, "its value can't be read")
            return
        }
        guard isOurs(lease.attributes) else {
            try await lose(own, to: lease, record, session)
            return
        }
        if lease.attributes == own.lease.attributes {
            // A renewal by a stock daemon, or a write of ours whose answer was lost.
            self.own = OwnHold(record: record, lease: lease, renewAt: record.isReservation ? nil : clock.now)
            return
        }
        overwritten(by: record, "another host, or another daemon on this one, uses this host's PublicIP")
    }

    private func isOurs(_ attributes: LeaseAttributes) -> Bool {
        if let publicIP = claim.publicIP, attributes.publicIP == publicIP { return true }
        if let publicIPv6 = claim.publicIPv6, claim.publicIP == nil, attributes.publicIPv6 == publicIPv6 { return true }
        guard let published = own?.lease.attributes else { return false }
        return published.publicIP.map { attributes.publicIP == $0 }
            ?? published.publicIPv6.map { attributes.publicIPv6 == $0 } ?? false
    }

    private func overwritten(by record: LeaseRecord, _ reason: String) {
        guard let own else { return }
        self.own?.record = record
        if record.isReservation { self.own?.renewAt = nil }
        rewrite.plan(now: clock.now, atOnce: record.isReservation)
        logger.error(
            "this host's lease was overwritten",
            metadata: [
                "subnet": "\(own.key)",
                "publicIP": "\(claim.publicIP?.description ?? claim.publicIPv6?.description ?? "")",
                "reason": "\(reason)",
                "remedy": "give each host its own --public-ip, and stop a second daemon on this host",
            ])
    }

    private func lose(
        _ hold: OwnHold, to lease: Lease, _ record: LeaseRecord, _ session: any SubnetSession
    ) async throws {
        logger.error(
            "this host's subnet is leased by another host now; it is given up and another is taken",
            metadata: [
                "subnet": "\(hold.key)",
                "holder": "\(lease.attributes.publicIP?.description ?? lease.attributes.publicIPv6?.description ?? "")",
                "remedy": "restart containers on this host that have addresses of the old subnet",
            ])
        lost.insert(hold.key)
        pending.lostSubnets = lost
        own = nil
        rewrite.done()
        setOwn()
        // Stop forwarding before a new subnet is there.
        flush()
        try await acquire(session)
    }

    /// Our key is gone: take the same subnet again, at once.
    func reclaim(_ session: any SubnetSession) async throws {
        guard let own, let config = config?.value else { return }
        guard config.admits(own.key) else {
            self.own = nil
            setOwn()
            try await acquire(session)
            return
        }
        logger.warning(
            "this host's lease is gone from the registry, taking it again", metadata: ["subnet": "\(own.key)"])
        let value = LeaseCodec.encode(try wanted(own, config))
        switch try await session.create(name: own.record.name, value: value) {
        case .created(let record): try hold(record, renewAt: clock.now + renewalInterval)
        case .taken(let record): try await ownRecordChanged(record, session)
        }
    }

    private func wanted(_ own: OwnHold, _ config: NetworkConfig) throws -> LeaseAttributes {
        try claim.attributes(config, own.key, own.lease)
    }

    /// Writes the lease if what it should say, after a new public address or config, is not what it says.
    func publishAddress(_ session: any SubnetSession) async throws {
        setOwn()
        guard let own, let config = config?.value, rewrite.at == nil else { return }
        if try wanted(own, config) != own.lease.attributes { try await rewriteOwn(session) }
    }

    private func rewriteOwn(_ session: any SubnetSession) async throws {
        rewrite.done()
        guard let own, let config = config?.value else { return }
        switch try await session.replace(own.record, value: LeaseCodec.encode(try wanted(own, config))) {
        case .written(let record): try hold(record, renewAt: record.isReservation ? nil : own.renewAt ?? clock.now)
        case .changed(let record?): try await ownRecordChanged(record, session)
        case .changed(nil): try await reclaim(session)
        }
    }

    func meetDeadlines(_ session: any SubnetSession) async throws {
        if let at = rewrite.at, at <= clock.now { try await rewriteOwn(session) }
        if let at = own?.renewAt, at <= clock.now { try await renew(session) }
    }

    private func renew(_ session: any SubnetSession) async throws {
        guard let own else { return }
        do throws(StoreError) {
            switch try await session.renew(own.record) {
            case .renewed(let record, let timeToLive):
                self.own?.record = record
                self.own?.renewAt = clock.now + max(timeToLive - renewMargin, .seconds(1))
                logger.debug(
                    "lease renewed", metadata: ["subnet": "\(own.key)", "seconds": "\(timeToLive.components.seconds)"])
            case .reservation: self.own?.renewAt = nil
            case .changed(let record):
                // The watch tells of it too, perhaps later.
                self.own?.renewAt = clock.now + .seconds(1)
                relistReason = record == nil ? "this host's lease is gone" : "this host's lease was written by another"
            }
        } catch {
            switch error.kind {
            case .noSpace, .permissionDenied, .refused:
                // A new session would not help.
                self.own?.renewAt = clock.now + .seconds(60) * Double.random(in: 0.5...1)
                if repeated.isDue(error.description, at: clock.now) {
                    logger.error(
                        "lease not renewed, trying again", metadata: ["subnet": "\(own.key)", "cause": "\(error)"])
                }
            default: throw error
            }
        }
    }
}
