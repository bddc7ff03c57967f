import FoundationEssentials
import Glibc
import LinuxSystem

/// A program that lives on when the lab command ends: a session of its own, output to a log file.
enum DetachedProcess {
    /// Starts `command`, whose first word is a path, and returns its process id.
    ///
    /// Appends output and errors to the file at `log` and writes the process id to the one at `pidFile`.
    @discardableResult
    static func spawn(_ command: [String], log: String, pidFile: String? = nil) throws -> pid_t {
        // setsid(1) keeps the process id, because a spawned process does not lead a process group.
        guard let program = Tool.find("setsid") else { throw LabError("setsid (package util-linux) is not installed") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Ignored and blocked signals survive exec: a daemon must get SIGTERM even when we handle it ourselves.
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        closeOnExec()

        var arguments: [UnsafeMutablePointer<CChar>?] = ([program] + command).map { strdup($0) }
        defer { for argument in arguments { free(argument) } }
        arguments.append(nil)
        var process = pid_t()
        let code = posix_spawn(&process, program, &actions, &attributes, arguments, environ)
        guard code == 0 else { throw SystemCallError(code: code, call: "posix_spawn", subject: program) }
        if let pidFile {
            let descriptor = try OwnedDescriptor(path: pidFile, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
            let bytes = Array("\(process)\n".utf8)
            try systemCall("write", pidFile) { write(descriptor.rawValue, bytes, bytes.count) }
        }
        return process
    }

    /// Marks every descriptor from 3 up: whoever waits for the end of a pipe must not wait for a daemon that inherited it.
    private static func closeOnExec() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
            if let number = CInt(name), number > 2 { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
        }
    }
}
