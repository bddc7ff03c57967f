import CLinux
import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// Attaches interfaces to running containers, detaches them, and sees to what containers that ended leave behind.
public struct Attacher: Sendable {
    /// Where records are: `/var/lib/weft/attachments`.
    public static let usualStateDirectory = "/var/lib/weft/attachments"
    /// Where DHCP clients' files are: `/run/weft/attach`.
    public static let usualRunDirectory = "/run/weft/attach"

    let tool: CommandTool
    let finder: ContainerFinder
    let store: AttachmentStore
    let openVSwitch: OpenVSwitch
    let hostNamespace: NetworkNamespace?
    var dhcp: DHCPSupervisor
    /// For tests: fails, or stops as a killed process does, around any step.
    var faults: (@Sendable (FaultPoint) throws(AttachError) -> Void)?

    /// A moment of an attachment.
    enum FaultPoint: Hashable, Sendable {
        case before(Int)
        /// The step was done, and is not written down as done.
        case after(Int)
    }

    /// - Parameters:
    ///   - stateDirectory: made when it is not there.
    ///   - runDirectory: for files that a reboot may take away.
    ///   - program: this program's file, which DHCP clients run.
    ///   - hostNamespace: what counts as the host; `nil` for the namespace of this process.
    public init(
        stateDirectory: String = Attacher.usualStateDirectory, runDirectory: String = Attacher.usualRunDirectory,
        program: String, hostNamespace: NetworkNamespace? = nil
    ) {
        tool = CommandTool()
        finder = ContainerFinder(tool: tool)
        store = AttachmentStore(directory: stateDirectory)
        openVSwitch = OpenVSwitch(tool: tool)
        self.hostNamespace = hostNamespace
        dhcp = DHCPSupervisor(tool: tool, directory: runDirectory, program: program)
    }

    /// Attaches, or changes nothing.
    ///
    /// - Parameter report: gets what was done about attachments that ended, and what could not be.
    /// - Throws: ``AttachError``.
    public func attach(
        _ request: AttachmentRequest, report: @Sendable (Note) -> Void = { _ in }
    ) async throws(AttachError) -> AttachmentStatus {
        do throws(AttachError) {
            let container = try await finder.resolve(request.container)
            guard !request.isKept || container.engine != .pid else {
                throw AttachError(
                    "--keep cannot follow \(request.container): a process that starts again has another number, and "
                        + "another process may get this one",
                    remedy: "name the container as its engine does, or leave --keep out")
            }
            let lock = try store.lock()
            defer { withExtendedLifetime(lock) {} }
            for note in await sweep() { report(note) }
            let record = try await make(request, in: container)
            return AttachmentStatus(record)
        } catch {
            throw error == .interrupted ? AttachError("interrupted; nothing was changed") : error
        }
    }

    /// Takes away an interface of a container, or all that were attached to it.
    ///
    /// - Parameter name: `nil` for all.
    /// - Throws: ``AttachError`` when there is none, or one cannot be undone; its record then stays.
    public func detach(
        _ reference: ContainerReference, name: InterfaceName? = nil
    ) async throws(AttachError) -> [AttachmentStatus] {
        let lock = try store.lock()
        defer { withExtendedLifetime(lock) {} }
        let records = store.load().records.filter { record in
            record.matches(reference) && (name == nil || record.request.name == name) && isOurs(record)
        }
        guard !records.isEmpty else {
            throw AttachError(
                "nothing is attached to \(reference)\(name.map { " as \($0)" } ?? "")",
                remedy: "weft attach --list shows what is")
        }
        if Set(records.map { $0.target?.id ?? $0.request.container.description }).count > 1 {
            throw AttachError("more than one container is called \(reference)", remedy: "give more of its id")
        }
        for record in records.sorted(by: { ($0.sequence ?? 0) > ($1.sequence ?? 0) }) {
            let failures = await undo(record)
            if let failure = failures.first { throw failure }
        }
        _ = await sweep()
        return records.map { AttachmentStatus($0) }
    }

    /// What is attached, and a line for each file that is no record.
    public func list() -> (attachments: [AttachmentStatus], refused: [String]) {
        let (records, refused) = store.load()
        return (records.filter { isOurs($0) }.map { AttachmentStatus($0) }, refused)
    }

    /// The host's interfaces, by name.
    public func hasInterface(_ name: String) -> Bool {
        guard let network = try? NamespaceNetwork("the host", namespace: hostNamespace) else { return false }
        return (try? network.links().contains { $0.name.text == name }) ?? false
    }

    /// Whether an interface of the host is up and has a carrier.
    public func isReady(_ name: InterfaceName) -> Bool {
        guard let network = try? NamespaceNetwork("the host", namespace: hostNamespace) else { return false }
        return (try? network.link(name)?.flags.contains([.up, .lowerUp])) ?? false
    }

    /// The container's namespace, for a program that is to run in it.
    public func namespaceFile(
        of reference: ContainerReference
    ) async throws(AttachError) -> OwnedDescriptor {
        let container = try await finder.resolve(reference)
        do {
            return try OwnedDescriptor(path: container.handle.namespace.path, flags: O_RDONLY)
        } catch {
            throw AttachError("\(error)")
        }
    }

    /// Moves the calling thread into a namespace, for a program that takes this one's place.
    public static func enter(_ namespace: borrowing OwnedDescriptor) throws(AttachError) {
        let descriptor = namespace.rawValue
        do {
            try systemCall("setns") { setns(descriptor, CLONE_NEWNET) }
        } catch {
            throw AttachError("\(error)")
        }
    }

    // MARK: - With the lock held

    func host() throws(AttachError) -> NamespaceNetwork {
        try NamespaceNetwork("the host", namespace: hostNamespace)
    }

    private var hostIdentity: NamespaceIdentity? {
        NamespaceIdentity(path: hostNamespace?.path ?? "/proc/self/ns/net")
    }

    /// Whether it was made on this host, and not on another that shares the directory.
    func isOurs(_ record: AttachmentRecord) -> Bool {
        record.boot != Boot.id || record.host == nil || record.host == hostIdentity
    }

    func executor(_ id: String) throws(AttachError) -> StepExecutor {
        StepExecutor(
            host: try host(), hostNamespace: hostNamespace, openVSwitch: openVSwitch, dhcp: dhcp, attachment: id)
    }

    /// Plans, writes down and does.
    func make(
        _ request: AttachmentRequest, in container: ResolvedContainer, replacing old: AttachmentRecord? = nil
    ) async throws(AttachError) -> AttachmentRecord {
        let host = try host()
        let inside = try NamespaceNetwork("the container", namespace: container.handle.namespace)
        guard container.handle.identity != hostIdentity else {
            throw AttachError(
                "the container \(request.container) has the host's own network",
                remedy: "it sees every interface already")
        }
        var snapshot = HostSnapshot(interfaces: try host.links().map { HostSnapshot.Interface($0) })
        do {
            snapshot.switches = try await openVSwitch.switches()
        } catch {
            guard error != .interrupted else { throw error }
            // Only who wants a switch has to hear of it.
            snapshot.switchesFailure = "\(error)"
        }
        let plan = try AttachmentPlan(
            request, host: snapshot,
            container: ContainerSnapshot(
                interfaces: Set(try inside.links().map(\.name)), number: Self.number(of: container),
                hostName: container.displayName),
            bridgeAddress: .madeUp())
        var record = AttachmentRecord(
            id: old?.id ?? AttachmentStore.makeIdentifier(), request: request, kind: plan.kind, state: .applying,
            boot: Boot.id, host: hostIdentity,
            target: AttachmentRecord.Target(
                engine: container.engine, id: container.id, displayName: container.displayName,
                process: container.process, namespace: container.handle.identity),
            sequence: (store.load().records.compactMap(\.sequence).max() ?? 0) + 1, shared: plan.shared)
        do {
            try await perform(plan.steps, in: container, &record)
        } catch {
            if error == Self.killed { throw error }
            let failures = await Self.uninterrupted { [record] in await rollBack(record, in: container, keeping: old) }
            throw failures.reduce(error) {
                AttachError("\($0.message); and it could not be undone: \($1.message)", remedy: $0.remedy)
            }
        }
        return record
    }

    /// What a fault throws that stands for the end of this process.
    static let killed = AttachError("killed")

    private func perform(
        _ steps: [AttachmentStep], in container: ResolvedContainer, _ record: inout AttachmentRecord
    ) async throws(AttachError) {
        let executor = try executor(record.id)
        for (position, step) in steps.enumerated() {
            try faults?(.before(position))
            guard !Task.isCancelled else { throw .interrupted }
            var performed = PerformedStep(step: step, trace: try executor.observe(step, in: container))
            record.pending = performed
            if let owned = AttachmentRecord.OwnedInterface(step) { record.owned.append(owned) }
            try store.save(record)
            do {
                try await executor.perform(&performed, in: container)
            } catch {
                record.pending = performed
                throw error
            }
            record.pending = performed
            if performed.trace.process != nil || performed.trace.interface != nil {
                // Known only now. A client may wait long for an address.
                try store.save(record)
                try await executor.wait(performed, in: container)
            }
            try faults?(.after(position))
            record.performed.append(performed)
            record.pending = nil
        }
        record.state = .attached
        try store.save(record)
    }

    private func rollBack(
        _ record: AttachmentRecord, in container: ResolvedContainer, keeping old: AttachmentRecord?
    ) async -> [AttachError] {
        var failures: [AttachError] = []
        do {
            failures = try await executor(record.id).undo(record.allSteps, in: container, isRollback: true)
            failures += try await shared().release(record)
        } catch {
            failures.append(error)
        }
        // With failures the record stays as it is, and the next sweep goes on.
        return failures.isEmpty ? close(record, successor: old) : failures
    }

    func shared() throws(AttachError) -> SharedInterfaces {
        SharedInterfaces(host: try host(), openVSwitch: openVSwitch, store: store)
    }

    /// Undoes an attachment and forgets it, unless it could not be undone; also in a task that was cancelled.
    ///
    /// - Parameter isReplaced: the record then waits for the container instead of being forgotten.
    func undo(
        _ record: AttachmentRecord, isRollback: Bool = false, isReplaced: Bool = false
    ) async -> [AttachError] {
        await Self.uninterrupted { await undoNow(record, isRollback: isRollback, isReplaced: isReplaced) }
    }

    private func undoNow(_ record: AttachmentRecord, isRollback: Bool, isReplaced: Bool) async -> [AttachError] {
        let waiting = isReplaced ? record.waiting : nil
        var failures: [AttachError] = []
        // Another that was undone since may have left it a bridge.
        var record = store.load().records.first { $0.id == record.id } ?? record
        if record.boot != Boot.id { record = record.survivingBoot }
        do {
            var container: ResolvedContainer?
            if record.isTargetAlive { container = try held(record) }
            if container != nil { record = try handOverRoutes(of: record) }
            failures = try await executor(record.id).undo(record.allSteps, in: container, isRollback: isRollback)
            failures += try await shared().release(record)
        } catch {
            failures.append(error)
        }
        return failures.isEmpty ? close(record, successor: waiting) : failures
    }

    /// Removes a record of which nothing is left, or puts another in its place in one step.
    private func close(_ record: AttachmentRecord, successor: AttachmentRecord?) -> [AttachError] {
        do {
            if let successor { try store.save(successor) } else { store.remove(record) }
            return []
        } catch {
            return [error]
        }
    }

    /// In a task that the cancellation of the caller's does not reach: waits and programs that undo are not cut short.
    private static func uninterrupted(
        _ body: @escaping @Sendable () async -> [AttachError]
    ) async -> [AttachError] {
        await Task { await body() }.value
    }

    /// The container that a record was made in, held again.
    func held(_ record: AttachmentRecord) throws(AttachError) -> ResolvedContainer? {
        guard let target = record.target else { return nil }
        let handle: ContainerHandle
        if let process = target.process {
            handle = try ContainerHandle(process: process.id)
        } else {
            handle = try ContainerHandle(namespace: target.displayName)
        }
        guard handle.identity == target.namespace, handle.process == target.process else { return nil }
        return ResolvedContainer(
            engine: target.engine, id: target.id, displayName: target.displayName, handle: handle)
    }

    private static func number(of container: ResolvedContainer) -> Int32 {
        container.process?.id ?? Int32(truncatingIfNeeded: container.handle.identity.inode % 10_000_000)
    }
}

extension MACAddress {
    /// Locally administered; by it an interface is known later.
    static func madeUp() -> MACAddress {
        MACAddress(rawValue: 0x0200_0000_0000 | UInt64.random(in: 0...0xff_ffff_ffff))
    }
}

extension AttachmentRecord {
    /// Whether the operator's name for a container is this one's.
    func matches(_ reference: ContainerReference) -> Bool {
        if request.container == reference { return true }
        guard let target, reference.engine == nil || reference.engine == target.engine else {
            return reference.engine == nil && request.container.name == reference.name
        }
        if reference.engine == .pid || target.engine == .pid {
            return target.process.map { "\($0.id)" == reference.name } ?? false
        }
        if target.displayName == reference.name || request.container.name == reference.name { return true }
        guard let id = target.id, reference.name.utf8.count >= 4 else { return false }
        return id.hasPrefix(reference.name)
    }
}
