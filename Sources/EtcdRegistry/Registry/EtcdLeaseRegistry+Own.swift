import Leases
import Logging

// Keeping the lease.
extension EtcdLeaseRegistry {
    /// After a list, and again after what failed: is the lease still ours and as it should be?
    func settleOwn(_ session: any SubnetSession) async throws {
        if let own {
            switch leases?.record(named: own.record.name) {
            case nil: try await reclaim(session)
            case let record?:
                if record.modRevision != own.record.modRevision || record.createRevision != own.record.createRevision {
                    try await ownRecordChanged(record, session)
                }
            }
            try await checkOwn(session)
            renewSoon()
            try await publishAttributes(session)
        }
        if own == nil, relistReason == nil { try await acquire(session) }
        try await removeDoubles(session)
    }

    /// A restored or restarted registry may count the time to live from another start, so that a lease is renewed
    /// after a reconnect; not by every host at once.
    private func renewSoon() {
        guard let renewAt = own?.renewAt else { return }
        own?.renewAt = min(renewAt, clock.now + .seconds(60) * Double.random(in: 0.1...1))
    }

    /// Does something for this host's lease. What a new session would not mend is logged and tried again after a while;
    /// the peers are followed meanwhile.
    ///
    /// - Returns: Whether it was done.
    @discardableResult
    func attempt(_ what: String, _ body: () async throws -> Void) async throws -> Bool {
        let cause: String
        let condition: RegistryCondition
        do {
            try await body()
            return true
        } catch let error as StoreError where isStarted && error.isAboutTheRequest {
            cause = error.description
            condition = .unavailable(cause: cause)
        } catch let error where !(error is StoreError || error is CancellationError) {
            // The claim's: this host can't do what the config says.
            cause = "the network config cannot be used on this host: \(error)"
            condition = .configUnusable(cause: "\(error)")
        }
        retryAt = clock.now + .seconds(60) * Double.random(in: 0.5...1)
        if own == nil {
            report(condition)
        } else if repeated.isDue(cause, at: clock.now) {
            logger.error("can't \(what), trying again", metadata: ["cause": "\(cause)"])
        }
        return false
    }

    /// Our key was written, and not by us as far as we know.
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
            // A renewal by a stock daemon, the start of one that takes over, or a write of ours whose answer was lost.
            self.own = OwnHold(
                record: record, lease: lease, renewAt: record.isReservation ? nil : clock.now,
                isConfirmed: own.isConfirmed)
            rewrite.done()
            if foreignWrites.areTooMany(with: record.value, at: clock.now) {
                sayPublicIPIsShared(
                    "this host's lease is written again and again by another", own,
                    "another host, or another daemon on this one, uses this host's PublicIP and so its subnet")
            }
            return
        }
        if let config = config?.value, lease.attributes == (try? wanted(own, config)) {
            // The answer to our own write was lost.
            try hold(record, renewAt: record.isReservation ? nil : clock.now)
            mayHaveDoubles = true
            return
        }
        overwritten(by: record, "another host, or another daemon on this one, uses this host's PublicIP")
    }

    private func isOurs(_ attributes: LeaseAttributes) -> Bool {
        if config?.value.ipv4 != nil, let publicIP = claim.publicIP {
            if attributes.publicIP == publicIP { return true }
        } else if let publicIPv6 = claim.publicIPv6, attributes.publicIPv6 == publicIPv6 {
            return true
        }
        guard let published = own?.lease.attributes else { return false }
        return published.publicIP.map { attributes.publicIP == $0 }
            ?? published.publicIPv6.map { attributes.publicIPv6 == $0 } ?? false
    }

    private func overwritten(by record: LeaseRecord, _ reason: String) {
        guard let own else { return }
        self.own?.record = record
        // Whoever wrote it gave it a time to live of their own.
        self.own?.renewAt = record.isReservation ? nil : clock.now
        rewrite.plan(now: clock.now, atOnce: record.isReservation)
        sayPublicIPIsShared("this host's lease was overwritten", own, reason)
    }

    private func sayPublicIPIsShared(_ message: Logger.Message, _ own: OwnHold, _ reason: String) {
        logger.error(
            message,
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
                "holder": "\(lease.attributes.publicAddress)",
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
        // There is nothing to renew or to write until it is there again.
        rewrite.done()
        // Whoever overlaps it is older now than our key would be.
        if let rival = leases?.rival(of: own.lease) {
            try await yield(own, to: rival.lease, sparing: rival.spared, session)
            return
        }
        guard accepts(own.lease, config) else {
            self.own = nil
            setOwn()
            try await acquire(session)
            return
        }
        logger.warning(
            "this host's lease is gone from the registry, taking it again", metadata: ["subnet": "\(own.key)"])
        self.own?.renewAt = nil
        try await attempt("take the lease again") {
            let value = LeaseCodec.encode(try wanted(own, config))
            switch try await session.create(name: own.record.name, value: value) {
            case .created(let record): try hold(record, renewAt: clock.now + renewalInterval)
            case .taken(let record): try await ownRecordChanged(record, session)
            }
        }
    }

    private func wanted(_ own: OwnHold, _ config: NetworkConfig) throws -> LeaseAttributes {
        try claim.attributes(config, own.key, own.lease)
    }

    /// Writes the lease if what it should say, after a new public address or config, is not what it says.
    func publishAttributes(_ session: any SubnetSession) async throws {
        setOwn()
        guard let own, let config = config?.value, rewrite.at == nil, retryAt == nil else { return }
        try await attempt("publish what changed on this host") {
            if !accepts(own.lease, config) {
                try await rekey(session)
            } else if try wanted(own, config) != own.lease.attributes {
                try await rewriteOwn(session)
            }
        }
    }

    /// How often a write is tried again at once when what is there is ours, but not what it should be.
    private static let rewriteAttempts = 3

    private func rewriteOwn(_ session: any SubnetSession) async throws {
        for _ in 0..<Self.rewriteAttempts {
            guard let own, let config = config?.value else { return rewrite.done() }
            let wanted = try wanted(own, config)
            let value = LeaseCodec.encode(wanted)
            let outcome = try await answered(value) { () async throws(StoreError) in
                try await session.replace(own.record, value: value)
            }
            switch outcome {
            case .written(let record):
                try hold(record, renewAt: record.isReservation ? nil : own.renewAt ?? clock.now)
                mayHaveDoubles = true
                try await removeDoubles(session)
                return
            case .changed(nil): return try await reclaim(session)
            case .changed(let record?):
                rewrite.done()
                try await ownRecordChanged(record, session)
                guard rewrite.at == nil, let now = self.own, now.key == own.key, now.lease.attributes != wanted else {
                    return
                }
            }
        }
        rewrite.plan(now: clock.now, atOnce: false)
    }

    func meetDeadlines(_ session: any SubnetSession) async throws {
        if let at = retryAt, at <= clock.now {
            retryAt = nil
            try await settleOwn(session)
        }
        if let at = rewrite.at, at <= clock.now {
            if let own, let config = config?.value, !accepts(own.lease, config) {
                // The config changed meanwhile: there is another key to write.
                rewrite.done()
                try await publishAttributes(session)
            } else if try await !attempt("write the lease again", { try await rewriteOwn(session) }), let retryAt {
                rewrite.postpone(until: retryAt)
            }
        }
        if let at = own?.renewAt, at <= clock.now { try await renew(session) }
        dropDeparted()
    }

    /// Peers whose leases are gone for good.
    private func dropDeparted() {
        let now = clock.now
        if let at = leases?.nextDeparture, at <= now { change { $0.dropDeparted(now) } }
    }

    /// Deletes other leases with this host's PublicIP: a dead host's whose address it has now, or a second one of its
    /// own. On every peer the older of two would win, and ours be ignored.
    func removeDoubles(_ session: any SubnetSession) async throws {
        guard mayHaveDoubles, let own, own.isConfirmed, let leases, let config = config?.value else { return }
        let doubles = leases.leases { isDouble($0, config) }.filter { $0.key != own.key }
        var isStale = false
        let isDone = try await attempt("delete another lease with this host's PublicIP") {
            for double in doubles {
                if double.isReservation {
                    logger.error(
                        "a reservation has this host's PublicIP too; peers may ignore this host's lease",
                        metadata: [
                            "reservation": "\(double.key)", "subnet": "\(own.key)",
                            "remedy":
                                "delete the reservation; or have the network config admit it and restart the daemon",
                        ])
                } else if let record = leases.record(named: double.key.description) {
                    logger.notice(
                        "deleting another lease with this host's PublicIP",
                        metadata: ["lease": "\(double.key)", "subnet": "\(own.key)"])
                    guard try await session.delete(record) else {
                        isStale = true
                        continue
                    }
                    change { $0.remove(name: record.name) }
                    // A stock peer takes the routes into the other lease's subnet away, and has to be told of ours again.
                    if double.key.overlaps(own.key) { try await rewriteOwn(session) }
                }
            }
        }
        if isStale {
            relistReason = "a lease changed while it was deleted"
        } else if isDone {
            mayHaveDoubles = false
        }
    }

    /// By PublicIP, which names a host wherever there is IPv4. A host that shares no more than our PublicIPv6 is another,
    /// by mistake: it is not for us to delete the lease of one that runs.
    private func isDouble(_ attributes: LeaseAttributes, _ config: NetworkConfig) -> Bool {
        if config.ipv4 != nil, let publicIP = claim.publicIP, let other = attributes.publicIP {
            return other == publicIP
        }
        return config.ipv6 != nil && claim.publicIPv6.map { attributes.publicIPv6 == $0 } ?? false
    }

    private func renew(_ session: any SubnetSession) async throws {
        guard let own else { return }
        do throws(StoreError) {
            let outcome = try await answered(own.record.value) { () async throws(StoreError) in
                try await session.renew(own.record)
            }
            switch outcome {
            case .renewed(let record, let timeToLive):
                self.own?.record = record
                // No watcher may be told of it, and later writes depend on its revision.
                change { $0.put(record) }
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
            guard error.isAboutTheRequest else { throw error }
            self.own?.renewAt = clock.now + .seconds(60) * Double.random(in: 0.5...1)
            if repeated.isDue(error.description, at: clock.now) {
                logger.error(
                    "lease not renewed, trying again", metadata: ["subnet": "\(own.key)", "cause": "\(error)"])
            }
        }
    }
}

extension EtcdLeaseRegistry {
    /// Writes this host's lease; notes when no answer comes, for then it may be done all the same.
    private func answered<Outcome: Sendable>(
        _ value: [UInt8], _ write: () async throws(StoreError) -> Outcome
    ) async throws(StoreError) -> Outcome {
        do throws(StoreError) {
            let outcome = try await write()
            foreignWrites.unanswered = nil
            return outcome
        } catch {
            if !error.isAboutTheRequest { foreignWrites.unanswered = value }
            throw error
        }
    }
}

extension StoreError {
    /// Whether a new session would not help.
    var isAboutTheRequest: Bool {
        switch kind {
        case .noSpace, .permissionDenied, .refused: true
        default: false
        }
    }
}
