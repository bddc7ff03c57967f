import CLinux
import Dispatch
import Glibc
import LinuxSystem
import Subprocess

/// Looks after attachments for as long as it runs: whatever happens on the host only wakes it, and each time it makes the
/// host as the records say.
public struct AttachmentWatcher: Sendable {
    let attacher: Attacher
    /// Between looks when nothing wakes it.
    let interval: Duration
    /// Whether it ends when there is nothing to watch.
    let endsWhenIdle: Bool

    /// - Parameter endsWhenIdle: for one that a command left behind; a service goes on.
    public init(_ attacher: Attacher, interval: Duration = .seconds(10), endsWhenIdle: Bool = false) {
        self.attacher = attacher
        self.interval = interval
        self.endsWhenIdle = endsWhenIdle
    }

    /// Runs until the task is cancelled, or nothing is left to watch.
    ///
    /// - Parameter report: gets each note once, until it changes.
    /// - Throws: ``AttachError`` when another watcher runs, or the records cannot be reached.
    public func run(report: @Sendable (Attacher.Note) -> Void) async throws {
        let own = try await lock()
        defer { withExtendedLifetime(own) {} }
        while !Task.isCancelled {
            try await look(report)
            if try leave(own) { return }
        }
    }

    /// A command that attaches holds the store's lock, and after that starts a watcher unless one runs: what it has attached
    /// is seen here, or it sees that this one has left.
    ///
    /// - Returns: whether there was nothing to watch.
    private func leave(_ own: borrowing WatcherLock) throws -> Bool {
        let lock = try attacher.store.lock()
        defer { withExtendedLifetime(lock) {} }
        guard endsWhenIdle, attacher.watched().isEmpty else { return false }
        own.release()
        return true
    }

    private func look(_ report: @Sendable (Attacher.Note) -> Void) async throws {
        let (wakes, waker) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let sources = try WakeSources(directory: attacher.store.directory, waker: waker)
        let events = EngineEvents(tool: attacher.tool, waker: waker)
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            var reported: Set<String> = []
            var followed: Set<ContainerReference.Engine> = []
            var iterator = wakes.makeAsyncIterator()
            while !Task.isCancelled {
                let notes = try await attacher.reconcile()
                for note in notes where !note.isFailure || !reported.contains(note.text) { report(note) }
                reported = Set(notes.filter(\.isFailure).map(\.text))
                let watched = attacher.watched()
                if endsWhenIdle, watched.isEmpty { return }
                sources.watch(watched.processes)
                for engine in watched.engines where followed.insert(engine).inserted {
                    group.addTask { await events.follow(engine) }
                }
                // What ended between the look and the watch wakes at once, since its descriptor is ready.
                let timer = Task { [interval] in
                    try await Task.sleep(for: interval)
                    waker.yield()
                }
                // Ends at once when the task is cancelled.
                _ = await iterator.next()
                timer.cancel()
            }
        }
    }
}

extension AttachmentWatcher {
    /// A service waits for one that a command left behind, and takes its place when that ends.
    private func lock() async throws -> WatcherLock {
        while true {
            do {
                return try WatcherLock(attacher)
            } catch {
                guard error is AttachError, !endsWhenIdle else { throw error }
            }
            try await Task.sleep(for: .seconds(1))
        }
    }
}

/// Held by the one watcher of a host's records.
public struct WatcherLock: ~Copyable {
    private let descriptor: OwnedDescriptor

    /// - Throws: ``AttachError`` when another holds it.
    public init(_ attacher: Attacher) throws {
        descriptor = try Self.locked("\(attacher.store.directory)/watcher", in: attacher.store.directory)
    }

    /// Lets another have it, while this process still runs.
    func release() { flock(descriptor.rawValue, LOCK_UN) }

    private static func locked(_ path: String, in directory: String) throws -> OwnedDescriptor {
        try StateFile.makeDirectory(directory)
        let file = try OwnedDescriptor(path: path, flags: O_RDWR | O_CREAT, mode: 0o600)
        guard flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            throw AttachError("another weft attach --watch looks after these attachments already")
        }
        return file
    }
}

/// Descriptors that become readable when something has changed.
private final class WakeSources {
    private let waker: AsyncStream<Void>.Continuation
    private var processes: [ProcessIdentity: any DispatchSourceRead] = [:]
    private var files: (any DispatchSourceRead)?

    init(directory: String, waker: AsyncStream<Void>.Continuation) throws {
        self.waker = waker
        let inotify = try systemCall("inotify_init1") { inotify_init1(CInt(IN_CLOEXEC | IN_NONBLOCK)) }
        // Records that other commands write, and namespaces of ip netns. The latter folder may come later: the timer's look.
        inotify_add_watch(inotify, directory, UInt32(IN_MOVED_TO | IN_DELETE))
        inotify_add_watch(inotify, "/run/netns", UInt32(IN_CREATE | IN_DELETE))
        let source = DispatchSource.makeReadSource(fileDescriptor: inotify)
        source.setEventHandler {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while read(inotify, &buffer, buffer.count) > 0 {}
            waker.yield()
        }
        source.setCancelHandler { close(inotify) }
        source.resume()
        files = source
    }

    func watch(_ wanted: [ProcessIdentity]) {
        for (process, source) in processes where !wanted.contains(process) {
            source.cancel()
            processes[process] = nil
        }
        for process in wanted where processes[process] == nil {
            let descriptor = clinux_pidfd_open(process.id, 0)
            guard descriptor >= 0 else { continue }
            let source = DispatchSource.makeReadSource(fileDescriptor: descriptor)
            source.setEventHandler { [waker] in
                // Readable for ever once the process has ended.
                source.cancel()
                waker.yield()
            }
            source.setCancelHandler { close(descriptor) }
            processes[process] = source
            source.resume()
        }
    }

    deinit {
        files?.cancel()
        for source in processes.values { source.cancel() }
    }
}

/// An engine's own events, which say when a container starts.
private struct EngineEvents: Sendable {
    let tool: CommandTool
    let waker: AsyncStream<Void>.Continuation

    /// Wakes for each event until the task is cancelled; begins anew when the engine restarts.
    func follow(_ engine: ContainerReference.Engine) async {
        let command: (String, [String])? =
            switch engine {
            case .docker: ("docker", ["events", "--filter", "event=start"])
            case .podman: ("podman", ["events", "--filter", "event=start"])
            case .containerd: ("ctr", ["events"])
            case .cri, .lxc, .pid, .netns: nil
            }
        guard let command else { return }
        while !Task.isCancelled {
            if let path = tool.find(command.0) {
                _ = try? await Subprocess.run(
                    .path(.init(path)), arguments: Arguments(command.1), input: .none, output: .sequence,
                    error: .discarded
                ) { execution in
                    for try await _ in execution.standardOutput { waker.yield() }
                }
            }
            waker.yield()
            try? await Task.sleep(for: .seconds(2))
        }
    }
}

extension Attacher {
    /// Starts a watcher as a process of its own, unless one runs.
    ///
    /// - Parameter command: its command line, the program's path first.
    /// - Throws: ``AttachError`` when it cannot be started.
    public func startWatcher(_ command: [String]) throws(AttachError) {
        // The watcher takes the lock again; a second one ends by itself.
        guard (try? WatcherLock(self)) != nil else { return }
        do {
            try StateFile.makeDirectory(dhcp.directory)
        } catch {
            throw AttachError("\(error)")
        }
        _ = try DetachedProcess.start(command, log: "\(dhcp.directory)/watcher.log")
    }
}
