import Glibc
import LinuxSystem

extension Attacher {
    /// Something that a pass over the records did, or could not do.
    public struct Note: Hashable, Sendable {
        /// On one line.
        public var text: String
        /// Whether an operator has to see to it.
        public var isFailure: Bool
    }

    /// Undoes what containers that ended, and commands that were killed, left behind. The lock is held.
    func sweep() async -> [Note] {
        var notes: [Note] = []
        store.removeUnfinished()
        let records = store.load().records.sorted { ($0.sequence ?? 0) > ($1.sequence ?? 0) }
        for record in records where isOurs(record) {
            let what = "\(record.request.name) of \(record.request.container)"
            switch record.state {
            case .waiting: continue
            case .attached where record.isTargetAlive: continue
            case .attached, .applying:
                let wasBegun = record.state == .applying
                let failures = await undo(record, isRollback: wasBegun, isReplaced: record.request.isKept)
                notes += failures.map { Note(text: "\(what) cannot be undone: \($0)", isFailure: true) }
                guard failures.isEmpty else { continue }
                notes.append(
                    Note(
                        text: wasBegun
                            ? "\(what) was not finished, and is undone" : "\(what) is gone with its container",
                        isFailure: false))
            }
        }
        return notes
    }

    /// Makes the host as the records say: undoes what ended, attaches again what is kept and whose container runs, and
    /// starts DHCP clients that ended.
    public func reconcile() async throws(AttachError) -> [Note] {
        let lock = try store.lock()
        defer { withExtendedLifetime(lock) {} }
        var notes = await sweep()
        let (records, refused) = store.load()
        notes += refused.map { Note(text: $0, isFailure: true) }
        for record in records where isOurs(record) {
            let what = "\(record.request.name) of \(record.request.container)"
            do {
                switch record.state {
                case .waiting:
                    guard let container = try await running(record) else { continue }
                    _ = try await make(record.request, in: container, replacing: record)
                    notes.append(Note(text: "\(what) is attached again", isFailure: false))
                case .attached:
                    if try restartDHCP(record) {
                        notes.append(Note(text: "\(what): the DHCP client had ended and runs again", isFailure: false))
                    }
                case .applying: continue
                }
            } catch {
                notes.append(Note(text: "\(what) cannot be attached again: \(error)", isFailure: true))
            }
        }
        return notes
    }

    /// The container that a kept record waits for; `nil` while it does not run.
    private func running(_ record: AttachmentRecord) async throws(AttachError) -> ResolvedContainer? {
        let candidate: ContainerFinder.Candidate
        do {
            candidate = try await finder.find(record.request.container)
        } catch {
            return nil  // not there, or its engine is not
        }
        // A name without an engine may be another's by now, and a process number somebody else's.
        guard candidate.process != 0, candidate.engine == record.target?.engine, candidate.engine != .pid else {
            return nil
        }
        let container = try await finder.resolve(record.request.container)
        return container.engine == record.target?.engine ? container : nil
    }

    /// - Returns: whether it had ended.
    private func restartDHCP(_ record: AttachmentRecord) throws(AttachError) -> Bool {
        var record = record
        guard
            let position = record.performed.firstIndex(where: { $0.trace.process != nil }),
            let process = record.performed[position].trace.process,
            case .startDHCP(let name, let request, let hostName) = record.performed[position].step
        else { return false }
        DetachedProcess.reap(process)
        guard !process.isAlive, let container = try held(record) else { return false }
        record.performed[position].trace.process = try dhcp.launch(
            request, on: name, hostName: hostName, attachment: record.id, in: container)
        try store.save(record)
        return true
    }

    /// What a watcher has to watch: processes, and whether there is anything at all.
    func watched() -> (processes: [ProcessIdentity], engines: Set<ContainerReference.Engine>, isEmpty: Bool) {
        let records = store.load().records.filter { isOurs($0) }
        var processes: Set<Int32> = []
        var identities: [ProcessIdentity] = []
        for record in records {
            for process in [record.target?.process] + record.performed.map(\.trace.process) {
                if let process, processes.insert(process.id).inserted { identities.append(process) }
            }
        }
        let kept = records.filter(\.request.isKept)
        return (identities, Set(kept.compactMap { $0.target?.engine }), records.isEmpty)
    }
}
