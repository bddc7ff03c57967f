import Glibc
import KernelState
import LinuxSystem
import Netlink

/// FOU ports, of which the kernel gives no notice: they are read with the rest and, while some are wanted, once a second.
extension Reconciler {
    private static let interval = Duration.seconds(1)

    /// Looks after the ports until the task is cancelled.
    func watchFOUPorts() async {
        while (try? await Task.sleep(for: Self.interval)) != nil {
            guard state.fouPorts.desiredCount > 0, !mustRead else { continue }
            // An error shows in the pass that follows.
            if let held = try? heldFOUPorts(), held == state.fouPorts.observedState { continue }
            audit()
        }
    }

    /// Of the ports that are Weft's by the policy, those that the kernel has.
    private func heldFOUPorts() throws(NetlinkError) -> [FOUPortKey: FOUPortValue] {
        var held: [FOUPortKey: FOUPortValue] = [:]
        for port in try fou.fouPorts() ?? [] {
            let key = FOUPortKey(port)
            if policy.fouPorts.contains(key) { held[key] = FOUPortValue(port) }
        }
        return held
    }

    /// A kernel that does not tell of its ports is no matter where none are wanted.
    func readFOUPorts() throws(NetlinkError) {
        if state.fouPorts.desiredCount > 0 {
            state.fouPorts.replaceObserved(try heldFOUPorts())
        } else if !policy.fouPorts.isEmpty {
            state.fouPorts.replaceObserved((try? heldFOUPorts()) ?? [:])
        }
    }

    /// Puts the ports that are missing or others. A userspace plane's device stays until the port is the kernel's, so this
    /// comes before the links.
    func putFOUPorts(_ report: inout PassReport) {
        for key in state.fouPorts.pending.sorted(by: Self.order) {
            switch state.fouPorts.step(for: key) {
            case .add(.known(let spec))?:
                attempt(key, .sets, adding: key.port(spec), &report)
            case .change(let held, .known(let spec))?:
                attempt(key, .sets, deleting: Self.port(key, held), adding: key.port(spec), &report)
            case .add(.other)?, .change(_, .other)?, .remove?, nil: break
            }
        }
    }

    /// Removes the ports that are not wanted, after the tunnels that they were for.
    func removeFOUPorts(_ report: inout PassReport) {
        for key in state.fouPorts.pending.sorted(by: Self.order) {
            if case .remove(let held)? = state.fouPorts.step(for: key) {
                attempt(key, .clears, deleting: Self.port(key, held), &report)
            }
        }
    }

    private static func order(_ lhs: FOUPortKey, _ rhs: FOUPortKey) -> Bool {
        (lhs.port, lhs.isIPv6 ? 1 : 0) < (rhs.port, rhs.isIPv6 ? 1 : 0)
    }

    private static func port(_ key: FOUPortKey, _ held: FOUPortValue) -> FOUPort {
        switch held {
        case .known(let spec): key.port(spec)
        case .other(let port): port
        }
    }

    private func attempt(
        _ key: FOUPortKey, _ effect: TrackedState.Effect, deleting old: FOUPort? = nil, adding new: FOUPort? = nil,
        _ report: inout PassReport
    ) {
        let now = ContinuousClock.now
        guard retries.isDue(.fouPort(key), now: now) else { return }
        do throws(NetlinkError) {
            if let old {
                report.requests += 1
                try delete(old)
            }
            if let new {
                report.requests += 1
                try fou.execute(.add(new))
            }
            retries.noteSuccess(.fouPort(key))
            state.noteDone(.fouPort(key), effect)
        } catch {
            // One that cannot be removed is looked at with the next audit; what is missing is looked at at once.
            if effect == .sets { mustRead = true }
            report.failures[.fouPort(key)] = "\(error)"
            // Nobody tells when the program that has the port ends.
            retries.noteFailure(.fouPort(key), error: "\(error)", isSurprise: false, limit: .seconds(2), now: now)
        }
    }

    /// One that somebody removed before is no failure.
    private func delete(_ port: FOUPort) throws(NetlinkError) {
        do throws(NetlinkError) {
            try fou.execute(.delete(port))
        } catch {
            guard case .refused(let refusal) = error, refusal.code == EINVAL || refusal.code == ENOENT else {
                throw error
            }
        }
    }
}
