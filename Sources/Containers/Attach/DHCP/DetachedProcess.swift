import Glibc
import LinuxSystem

/// A program that goes on when this process ends.
enum DetachedProcess {
    private static let newSession: Int16 = 0x80  // POSIX_SPAWN_SETSID, which Glibc declares under _GNU_SOURCE alone

    /// Starts a program in a session of its own, with its output in a file.
    ///
    /// - Parameter namespace: the network namespace it runs in; `nil` for the caller's.
    /// - Throws: ``AttachError`` when it cannot be started.
    static func start(
        _ command: [String], log: String, in namespace: NetworkNamespace? = nil
    ) throws(AttachError) -> ProcessIdentity {
        let spawn: @Sendable () throws -> Int32 = { try start(command, log: log) }
        do {
            let id = try namespace.map { try $0.run(spawn) } ?? spawn()
            // A child that ended at once is a zombie of ours, with a start to be read.
            return ProcessIdentity(living: id) ?? ProcessIdentity(id: id, start: 0)
        } catch {
            throw AttachError("\(command.first ?? ""): \(error)")
        }
    }

    private static func start(_ command: [String], log: String) throws(SystemCallError) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, newSession | Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var id = pid_t()
        let code = posix_spawn(&id, command.first ?? "", &actions, &attributes, words, environ)
        guard code == 0 else { throw SystemCallError(code: code, call: "posix_spawn", subject: command.first ?? "") }
        return id
    }

    /// Ends a process and waits for it, also in a task that was cancelled.
    ///
    /// - Returns: whether it is gone.
    static func end(_ process: ProcessIdentity) async -> Bool {
        await Task { await endNow(process) }.value
    }

    private static func endNow(_ process: ProcessIdentity) async -> Bool {
        for (signal, rounds) in [(SIGTERM, 100), (SIGKILL, 100)] {
            guard process.isAlive else { break }
            kill(process.id, signal)
            for _ in 0..<rounds where process.isAlive {
                reap(process)
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
        reap(process)
        return !process.isAlive
    }

    /// Takes in a child that has ended; nothing for a process that is no child.
    static func reap(_ process: ProcessIdentity) {
        var status: Int32 = 0
        waitpid(process.id, &status, WNOHANG)
    }
}
