import Glibc
import IPNetwork
import KernelState
import LinuxSystem
import Logging
import Operations
import Tunnel

/// Keeps the userspace tunnel of the udp backend running as the desired state says: starts it, tells it of next hops, and
/// starts it again when it ends.
actor TunnelKeeper {
    private let file: TunnelRecordFile
    private let health: HealthBoard
    private let logger: Logger

    private var wanted: TunnelSpec?
    private var nextHops: [IPPrefix: IPAddress] = [:]
    private var running: (tunnel: Tunnel, spec: TunnelSpec)?
    /// What ended tunnels did.
    private var past = TunnelCounters()
    private var failures = 0
    /// The failure that was logged, and with who is in the way.
    private var reported: (cause: String, text: String)?
    private var retry: Task<Void, Never>?
    /// The file does not say what is wanted.
    private var isUnrecorded = false
    private var unwritable: String?
    /// The device was found in other hands the last time.
    private var isDetached = false
    /// The device of an earlier process's tunnel.
    private(set) var formerDevice: InterfaceName?

    init(file: TunnelRecordFile, health: HealthBoard, logger: Logger) {
        self.file = file
        self.health = health
        self.logger = logger
    }

    // MARK: Input

    /// Goes on where an earlier process was, if it left word: until the registry has been read, its next hops are the best
    /// there are, and every packet counts.
    func resume() {
        guard running == nil, wanted == nil, let record = file.read() else { return }
        formerDevice = record.spec.device
        guard if_nametoindex(record.spec.device.text) != 0 else { return }
        do throws(TunnelError) {
            let table = Self.table(record.spec, record.nextHops)
            running = (try Tunnel(Self.configuration(record.spec), nextHops: table), record.spec)
            watch()
            logger.info(
                "the tunnel goes on with what an earlier run knew until the registry is read",
                metadata: ["device": "\(record.spec.device)", "peers": "\(record.nextHops.count)"])
        } catch {
            logger.info("the tunnel cannot go on yet", metadata: ["error": "\(error)"])
        }
    }

    /// Ends a tunnel that is not as `spec` says, before what it stands on goes.
    func prepare(for spec: TunnelSpec?) async {
        if wanted != spec {
            // Not tried again while another takes its place.
            retry?.cancel()
            retry = nil
            wanted = nil
        }
        if let running, running.spec != spec { await stop(running.tunnel) }
    }

    /// What should run, and where it sends; `nil` for none.
    func set(_ spec: TunnelSpec?, nextHops: [IPPrefix: IPAddress]) async {
        if wanted != spec || self.nextHops != nextHops { isUnrecorded = true }
        wanted = spec
        self.nextHops = nextHops
        guard let spec else {
            await prepare(for: nil)
            if formerDevice != nil { file.remove() }
            formerDevice = nil
            retry?.cancel()
            health.set(.tunnelDown, nil)
            report()
            return
        }
        formerDevice = spec.device
        await prepare(for: spec)
        if let running { running.tunnel.setNextHops(Self.table(spec, nextHops)) } else { start() }
        record()
    }

    /// Follows a step of the desired state.
    func update(_ step: DesiredChange) {
        guard let wanted, !(step.removed.nextHops.isEmpty && step.added.nextHops.isEmpty) else { return }
        for subnet in step.removed.nextHops.keys { nextHops[subnet] = nil }
        for (subnet, remote) in step.added.nextHops { nextHops[subnet] = remote }
        running?.tunnel.setNextHops(Self.table(wanted, nextHops))
        isUnrecorded = true
    }

    /// Looks at what has no notification of its own.
    func tick() async {
        record()
        report()
        if let running {
            // Somebody moved the device to another namespace or gave it another name, and another has its place. Twice,
            // since a device that was made anew is being attached to.
            let isDetached = running.tunnel.isDetached
            if isDetached, self.isDetached {
                logger.notice(
                    "the tunnel's device is another one now, attaching to it",
                    metadata: ["device": "\(running.spec.device)"])
                await stop(running.tunnel)
                start()
            }
            self.isDetached = isDetached && self.running != nil
        }
    }

    /// What all tunnels of this process did.
    var counters: TunnelCounters {
        var counters = past
        if let running { counters.add(running.tunnel.counters) }
        return counters
    }

    // MARK: Running

    private func start() {
        retry?.cancel()
        retry = nil
        guard let wanted, running == nil else { return }
        do throws(TunnelError) {
            let tunnel = try Tunnel(Self.configuration(wanted), nextHops: Self.table(wanted, nextHops))
            running = (tunnel, wanted)
            watch()
            if reported != nil || failures == 0 {
                logger.info(
                    "the tunnel runs", metadata: ["device": "\(wanted.device)", "offloads": "\(tunnel.offloads)"])
            }
            failures = 0
            reported = nil
            health.set(.tunnelDown, nil)
        } catch {
            fail("\(error)") { Self.holder(error) }
        }
    }

    private func watch() {
        guard let running else { return }
        Task { [weak self, tunnel = running.tunnel] in
            let end = await tunnel.end()
            await self?.ended(tunnel, end)
        }
    }

    private func stop(_ tunnel: Tunnel) async {
        if running?.tunnel === tunnel {
            running = nil
            // The packets in between are not counted.
            past.add(tunnel.counters)
        }
        await tunnel.stop()
    }

    private func ended(_ tunnel: Tunnel, _ end: TunnelEnd) {
        guard let running, running.tunnel === tunnel else { return }
        self.running = nil
        past.add(tunnel.counters)
        switch end {
        case .stopped: break
        case .deviceLost:
            logger.notice(
                "the tunnel's device was deleted, attaching to a new one",
                metadata: ["device": "\(running.spec.device)"])
            start()
        case .failed(let error):
            fail("\(error)")
        }
    }

    /// Tries again after 10 ms, and twice as long each time up to 5 s. An earlier process that is just ending, or a device
    /// that is just being made, is not worth a line.
    ///
    /// - Parameter holder: finds out who is in the way, for which every process is looked at.
    private func fail(_ cause: String, holder: () -> String? = { nil }) {
        failures += 1
        if failures >= 7, reported?.cause != cause {
            let text = holder().map { "\(cause); it is \($0)" } ?? cause
            reported = (cause, text)
            logger.error("the tunnel of the udp backend cannot run, trying again", metadata: ["error": "\(text)"])
        }
        health.set(.tunnelDown, reported?.text ?? cause)
        let delay = min(Duration.milliseconds(10) * (1 << min(failures - 1, 9)), .seconds(5))
        retry = Task { [weak self] in
            guard (try? await Task.sleep(for: delay)) != nil else { return }
            await self?.start()
        }
    }

    /// Names who is in the way, where that can be found out.
    private static func holder(_ error: TunnelError) -> String? {
        switch error {
        case .socket(_, let port, let cause) where cause.code == EADDRINUSE: ResourceHolder.ofUDPPort(port)
        case .device(let name, let cause) where cause.code == EBUSY: ResourceHolder.ofTun(name)
        default: nil
        }
    }

    // MARK: Telling

    private func report() {
        guard wanted != nil else {
            health.note("tunnel", nil)
            health.measure("tunnel", [])
            return
        }
        let report = TunnelReport(counters: counters, offloads: running?.tunnel.offloads)
        health.note("tunnel", report.text)
        health.measure("tunnel", report.metrics)
    }

    private func record() {
        guard isUnrecorded, let wanted, let boot = TunnelRecord.currentBoot else { return }
        let record = TunnelRecord(boot: boot, registry: file.registry, spec: wanted, nextHops: nextHops)
        do throws(SystemCallError) {
            try file.write(record)
            isUnrecorded = false
            unwritable = nil
        } catch {
            // Tried again with every tick.
            guard unwritable != "\(error)" else { return }
            unwritable = "\(error)"
            logger.warning(
                "cannot note the tunnel's next hops; a restart will wait for the registry before it carries packets",
                metadata: ["path": "\(file.path)", "error": "\(error)"])
        }
    }

    private static func configuration(_ spec: TunnelSpec) -> TunnelConfiguration {
        TunnelConfiguration(
            device: spec.device, endpoints: spec.endpoints, port: spec.port, addresses: spec.addresses,
            sourceCheck: spec.checksPeers ? .peersAndSubnets : .none)
    }

    private static func table(_ spec: TunnelSpec, _ nextHops: [IPPrefix: IPAddress]) -> NextHopTable {
        NextHopTable(
            nextHops.map { NextHop(prefix: $0.key, endpoint: $0.value, port: spec.port) }, local: spec.ownSubnets)
    }
}
