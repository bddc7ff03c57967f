import Backends
import Firewall
import IPNetwork
import KernelState
import Leases
import LinuxSystem
import Logging
import Netlink
import Operations
import Reconcile

/// Turns what the registry and the host say into what kernel, firewall and container engine should hold.
actor OverlayController {
    private let configuration: DaemonConfiguration
    private let claims: HostClaims
    private let kernel: any RouteNetlink
    private let reconciler: Reconciler
    private let firewall: FirewallKeeper
    private let tunnel: TunnelKeeper
    private let notifier: ServiceNotifier
    private let health: HealthBoard
    private let logger: Logger

    private var host: HostFacts
    private var config: NetworkConfig?
    private var lease: Lease?
    private var lostSubnets: Set<SubnetKey> = []
    private var overlay: OverlayState?
    /// Changes of peers that came while there was no backend to serve them.
    private var waiting = LeaseChanges()
    private var mtu: UInt32 = 0
    private var ownInterfaces: Set<InterfaceName> = []
    private var ages = PeerAges()
    private var refusals: [SubnetKey: PeerRefusal] = [:]
    private var rejections: [String: String] = [:]
    private var writtenFile: String?
    /// What an earlier run served, whose firewall rules go when this one serves another network.
    private let formerNetworks: [IPPrefix]
    /// Another weftd has what the config asks for; it may end.
    private var isClaimRefused = false
    private var isAnnounced = false
    private var planes: PlaneChooser
    private var status = ""

    init(
        configuration: DaemonConfiguration, claims: HostClaims, host: HostFacts, kernel: any RouteNetlink,
        reconciler: Reconciler,
        firewall: FirewallKeeper, tunnel: TunnelKeeper, notifier: ServiceNotifier, health: HealthBoard, logger: Logger
    ) {
        self.configuration = configuration
        self.claims = claims
        formerNetworks = SubnetFile(path: configuration.subnetFile).previousNetworks()
        self.host = host
        self.kernel = kernel
        planes = PlaneChooser(
            probe: KernelPlaneProbe(kernel: kernel, fou: FOUSocket()), health: health, logger: logger)
        self.reconciler = reconciler
        self.firewall = firewall
        self.tunnel = tunnel
        self.notifier = notifier
        self.health = health
        self.logger = logger
    }

    // MARK: Input

    func take(_ update: RegistryUpdate) async {
        note(update.condition)
        if let rejections = update.rejections { note(rejections) }
        let newLost = update.lostSubnets.map { $0 != lostSubnets } ?? false
        if let lost = update.lostSubnets { noteLost(lost) }
        if overlay == nil {
            waiting.merge(update.changes)
        } else if !update.changes.isEmpty {
            ages.follow(update.changes) { overlay?.peers[$0] != nil }
            if let step = overlay?.apply(update.changes) {
                await reconciler.update(step)
                await tunnel.update(step)
            }
            noteRefusals()
        }
        if update.config != nil || update.ownLease != nil {
            config = update.config ?? config
            if let lease = update.ownLease { noteLease(lease) }
            await rebuild()
        } else if newLost {
            await updateFirewall()
        }
    }

    /// The external interface, its address or its MTU changed.
    func take(_ facts: HostFacts) async {
        // The same facts again may follow others that could not be used.
        guard facts != host || health.holds(.configUnusable) else { return }
        logger.notice(
            "the external interface changed",
            metadata: [
                "interface": "\(facts.interface)", "mtu": "\(facts.mtu)",
                "address": "\(facts.localIPv4.map { "\($0)" } ?? facts.localIPv6.map { "\($0)" } ?? "none")",
            ])
        host = facts
        await rebuild()
    }

    // MARK: Building

    /// Makes the whole desired state anew: on the first update, and when something that all of it depends on changed.
    private func rebuild() async {
        guard let lease, let config = config?.limited(to: lease.key) else { return }
        // A second time when the udp backend's data plane failed and another is to take its place.
        if await !rebuild(config, lease) { _ = await rebuild(config, lease) }
    }

    /// - Returns: whether it is to be done again, with another data plane.
    private func rebuild(_ config: NetworkConfig, _ lease: Lease) async -> Bool {
        let backend: any Backend
        let networks = [config.ipv4.map { IPPrefix.v4($0.network) }, config.ipv6.map { .v6($0.network) }]
            .compactMap { $0 }
        isClaimRefused = false
        do {
            backend = try BackendCatalogue.make(config: config, host: planes.facts(host, for: config))
            let interfaces = backend.ownInterfaces.union(backend.formerInterfaces)
            try claims.hold(networks: networks, interfaces: interfaces)
        } catch {
            isClaimRefused = error is HostClaims.Conflict
            refuseConfig("\(error)")
            return true
        }
        health.set(.configUnusable, nil)
        mtu = backend.mtu
        ownInterfaces = backend.ownInterfaces
        var overlay = OverlayState(backend: backend, lease: lease)
        var desired = backend.hostState(lease: lease)
        if configuration.blackholeRoute {
            let own = [lease.key.ipv4.map(IPPrefix.v4), lease.key.ipv6.map(IPPrefix.v6)]
            desired.blackholes = Set(own.compactMap { $0 })
        }
        desired.apply(overlay.apply(LeaseChanges(updated: self.overlay?.peers ?? waiting.updated)))
        waiting = LeaseChanges()
        self.overlay = overlay
        // What an earlier process's tunnel left is removed when it is of no more use.
        let left = claims.ours(planes.takeLeftovers())
        let owned = backend.ownInterfaces.union(backend.formerInterfaces).union(left.interfaces)
            .union([await tunnel.formerDevice].compactMap { $0 })
        let policy = OwnershipPolicy(
            interfaces: owned, networks: networks, fouPorts: backend.ownPorts.union(left.ports))
        await tunnel.prepare(for: desired.tunnel)
        async let firewallDone: Void = updateFirewall()
        await reconciler.setDesired(desired, policy: policy)
        let report = await reconciler.reconcile()
        guard planes.judge(report, of: backend) else {
            await firewallDone
            return false
        }
        await tunnel.set(desired.tunnel, nextHops: desired.nextHops)
        noteRefusals()
        // The file tells the next run whose rules may be left.
        if formerNetworks.contains(where: { !networks.contains($0) }) { await firewallDone }
        await writeSubnetFile()
        await firewallDone
        await noteKernel()
        return true
    }

    private func refuseConfig(_ error: String) {
        guard health.set(.configUnusable, error) else { return }
        logger.error("the network config cannot be used on this host", metadata: ["error": "\(error)"])
    }

    private func updateFirewall() async {
        guard let config, let lease, overlay != nil else { return }
        let preference: FirewallPreference =
            switch config.enableNFTables {
            case true?: .nftables
            case false?: .iptables
            case nil: .automatic
            }
        let ruleset = Ruleset(
            ipv4: config.ipv4.map { range in
                .init(
                    network: range.network, ownSubnets: [lease.key.ipv4].compactMap { $0 },
                    lostSubnets: lostSubnets.compactMap(\.ipv4))
            },
            ipv6: config.ipv6.map { range in
                .init(
                    network: range.network, ownSubnets: [lease.key.ipv6].compactMap { $0 },
                    lostSubnets: lostSubnets.compactMap(\.ipv6))
            },
            masquerade: configuration.masquerade, randomFully: !configuration.keepsSourcePorts,
            forward: configuration.forwardRules,
            peerInterfaces: peerInterfaces,
            formerNetworks: formerNetworks.filter { !claims.othersNetworks.contains($0) })
        note(await firewall.update(ruleset, preference: preference))
    }

    private var peerInterfaces: [InterfaceName] {
        ownInterfaces.isEmpty ? [host.interface] : ownInterfaces.sorted()
    }

    private func writeSubnetFile() async {
        guard let config, let lease, overlay != nil else { return }
        let text = SubnetFile.text(
            config: config, key: lease.key, mtu: mtu, masquerade: configuration.masquerade)
        let file = SubnetFile(path: configuration.subnetFile)
        if text == writtenFile, (try? file.contents()) == text { return }
        do throws(SystemCallError) {
            // A file that is right already is not touched, so that nobody who watches it is woken.
            if (try? file.contents()) != text { try file.write(text) }
            let isChange = writtenFile != nil && writtenFile != text
            writtenFile = text
            health.set(.subnetFileUnwritable, nil)
            logger.log(
                level: isChange ? .notice : .info,
                isChange
                    ? "the subnet file changed; restart the container engine to use it" : "the subnet file is written",
                metadata: ["path": "\(file.path)", "subnet": "\(lease.key)", "mtu": "\(mtu)"])
        } catch {
            writtenFile = nil
            if health.set(.subnetFileUnwritable, "\(error)") {
                logger.error(
                    "cannot write the subnet file; the container engine cannot learn its subnet",
                    metadata: ["path": "\(file.path)", "error": "\(error)"])
            }
        }
    }

    /// Tries again what another daemon on this host stood in the way of.
    func retry() async {
        if isClaimRefused { await rebuild() }
    }

    /// Looks at what has no notification of its own.
    ///
    /// - Returns: whether ``retry()`` is due. It is the mailbox's reader that calls it: nothing is rebuilt beside it.
    func tick() async -> Bool {
        await writeSubnetFile()
        await tunnel.tick()
        note(await firewall.status)
        health.set(.forwardingOff, lease.flatMap { Forwarding.off(for: $0.key) })
        await noteKernel()
        return isClaimRefused
    }

    // MARK: Telling

    /// For `weft status`, which looks at it elsewhere: leases do not wait for that. `nil` before there is an overlay.
    var snapshot: OverlaySnapshot? {
        get async {
            let conflicts = await reconciler.status.conflicts
            guard let lease, let config, let overlay else { return nil }
            return OverlaySnapshot(
                lease: lease, backend: config.backendType + (planes.current.map { " (\($0.plane.rawValue))" } ?? ""),
                host: host, mtu: mtu, devices: peerInterfaces, overlay: overlay, ages: ages, rejections: rejections,
                conflicts: conflicts, links: (try? kernel.links()) ?? [])
        }
    }

    private func noteKernel() async {
        let status = await reconciler.status
        health.set(.kernelUnreadable, status.readError)
        health.set(.kernelRefuses, Self.summary(of: status.hostFailures))
        health.set(.peerRefused, Self.summary(of: status.peerFailures))
        health.set(.incomplete, status.isApplied ? nil : "\(status.pendingCount) objects")
        let conflicts = status.conflicts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        health.set(.routeConflict, conflicts.isEmpty ? nil : conflicts.prefix(5).joined(separator: "; "))
        if status.isApplied, writtenFile != nil { health.set(.starting, nil) }
        announce()
    }

    private static func summary(of failures: [String]) -> String? {
        failures.first.map { failures.count == 1 ? $0 : "\(failures.count) objects, such as \($0)" }
    }

    private func announce() {
        guard let lease else { return }
        guard health.isReady else {
            let worst = health.conditions.first { $0.condition.blocksReadiness }
            tell("not ready: \(worst.map { "\($0.condition.summary): \($0.detail)" } ?? "")")
            return
        }
        let text =
            "subnet \(lease.key), \(overlay?.servedCount ?? 0) peers"
            + (planes.current.map { ", \($0.plane.rawValue) plane" } ?? "")
        guard !isAnnounced else {
            tell(text)
            return
        }
        isAnnounced = true
        status = text
        notifier.ready(status: text)
        ProcessMemory.releaseAfterStart()
        logger.notice(
            "ready", metadata: ["subnet": "\(lease.key)", "peers": "\(overlay?.servedCount ?? 0)", "mtu": "\(mtu)"])
        noteFormerRoutes(lease)
    }

    /// Once, at the start: later ones are nobody's leftovers.
    private func noteFormerRoutes(_ lease: Lease) {
        guard
            let config, let overlay, let routes = try? kernel.routes(RouteFilter(table: Route.mainTable)),
            let external = try? kernel.links().first(where: { $0.name == host.interface })?.index
        else { return }
        let found = FormerRoutes.find(
            routes, external: external, host: host, config: config, leased: overlay.peers.keys + [lease.key])
        guard !found.isEmpty else { return }
        logger.notice(
            "routes to subnets that nobody leases, maybe left by flannel; delete those that are not yours",
            metadata: ["count": "\(found.count)", "routes": "\(found.prefix(5).joined(separator: "; "))"])
    }

    /// Shows a line in `systemctl status`.
    private func tell(_ text: String) {
        guard text != status else { return }
        status = text
        notifier.status(text)
    }

    private func note(_ status: FirewallStatus) {
        switch status.condition {
        case .failing(let cause, let remedy):
            health.set(.firewallFailing, "\(cause) (\(remedy))")
            health.set(.firewallFinding, nil)
        case .findings(let findings):
            health.set(.firewallFailing, nil)
            health.set(.firewallFinding, findings.map(\.description).joined(separator: "; "))
        case .ok, .idle:
            health.set(.firewallFailing, nil)
            health.set(.firewallFinding, nil)
        }
    }

    private func note(_ condition: RegistryCondition?) {
        switch condition {
        case .connected?: health.set(.registryUnavailable, nil)
        case .unavailable(let cause)?:
            health.set(.registryUnavailable, cause)
            if lease == nil { health.set(.configUnusable, nil) }
            tell("registry: \(cause)")
        case .configUnusable(let cause)?:
            // With a lease it is taken back when it is used.
            health.set(.registryUnavailable, nil)
            health.set(.configUnusable, cause)
            tell("network config: \(cause)")
        case nil: break
        }
    }

    private func noteLease(_ new: Lease) {
        if let lease, Self.isMove(from: lease.key, to: new.key) {
            logger.error(
                "this host has another subnet now; restart the container engine so that its containers move to it",
                metadata: ["from": "\(lease.key)", "to": "\(new.key)"])
        } else if lease == nil {
            logger.info(
                "holding a lease", metadata: ["subnet": "\(new.key)", "reservation": "\(new.isReservation)"])
        }
        lease = new
    }

    /// Whether a family's subnet is another one. One that comes or goes is the network config's doing, and told with the
    /// subnet file.
    private static func isMove(from old: SubnetKey, to new: SubnetKey) -> Bool {
        if let old = old.ipv4, let new = new.ipv4, old != new { return true }
        if let old = old.ipv6, let new = new.ipv6, old != new { return true }
        return false
    }

    private func noteLost(_ lost: Set<SubnetKey>) {
        lostSubnets = lost
        health.set(.subnetLost, lost.isEmpty ? nil : lost.map(\.description).sorted().joined(separator: ", "))
    }

    private func note(_ current: [LeaseRejection]) {
        // The registry has logged each.
        rejections = Dictionary(current.map { ($0.name, $0.reason) }) { $1 }
        noteIgnored()
    }

    private func noteRefusals() {
        let current = overlay?.refusals ?? [:]
        for (key, refusal) in current where refusals[key] != refusal {
            logger.warning("lease ignored", metadata: ["key": "\(key)", "reason": "\(refusal)"])
        }
        if current != refusals {
            refusals = current
            noteIgnored()
        }
    }

    private func noteIgnored() {
        let names = (Array(rejections.keys) + refusals.keys.map(\.description)).sorted()
        let more = names.count > 5 ? " and \(names.count - 5) more" : ""
        health.set(.leaseIgnored, names.isEmpty ? nil : names.prefix(5).joined(separator: ", ") + more)
    }
}
