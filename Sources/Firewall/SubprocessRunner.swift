import Glibc
import LinuxSystem
import Subprocess

/// Runs commands as child processes.
public struct SubprocessRunner: CommandRunner {
    /// Put before every command, for example `ip netns exec blue`.
    public let prefix: [String]
    /// How long one command may take. iptables waits up to 5 s for its lock, so less would hide that error.
    public let timeout: Duration
    private let directories: [String]

    /// Reads PATH once, here, and adds the sbin directories to it.
    public init(prefix: [String] = [], timeout: Duration = .seconds(15)) {
        self.prefix = prefix
        self.timeout = timeout
        // A service's PATH may lack the directories where distributions keep the firewall commands.
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        directories = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/local/sbin"]
    }

    private func path(of tool: String) -> String? {
        if tool.contains("/") { return tool }
        return directories.lazy.map { "\($0)/\(tool)" }.first { access($0, X_OK) == 0 }
    }

    /// Looks in PATH, then in the sbin directories, whatever `prefix` is.
    public func locate(_ tool: String) -> String? {
        guard let path = path(of: tool), let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Runs `tool` behind `prefix`, under the name it is called by.
    ///
    /// - Throws: ``CommandFailure`` when it is not installed, cannot be started, or takes longer than ``timeout``.
    public func run(
        _ tool: String, _ arguments: [String], input: String
    ) async throws(CommandFailure) -> CommandOutput {
        // Not the resolved path: a multi-call binary goes by the name it is called with.
        guard let path = path(of: tool) else { throw .notFound }
        var command = prefix + [path] + arguments
        let first = command.removeFirst()
        guard let executable = self.path(of: first) else { throw .notFound }
        let rest = command
        let timeout = timeout
        do {
            return try await withThrowingTaskGroup(of: CommandOutput.self) { group in
                group.addTask { try await Self.spawn(executable, rest, input) }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    throw CommandFailure.timedOut(timeout)
                }
                defer { group.cancelAll() }
                guard let output = try await group.next() else { throw CommandFailure.notStarted("no result") }
                return output
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw .notStarted("\(error)")
        }
    }

    private static func spawn(
        _ executable: String, _ arguments: [String], _ input: String
    ) async throws -> CommandOutput {
        // A file and no pipe: a command that ends before it has read all, since it fails or since weftd stops, must
        // neither hide its own message behind EPIPE nor end weftd by SIGPIPE.
        let file = try OwnedDescriptor.file(holding: input)
        // Rulesets of kube-proxy reach several MiB; the limit only guards against a runaway.
        let result = try await Subprocess.run(
            .path(.init(executable)), arguments: Arguments(arguments),
            environment: .inherit.updating(["LC_ALL": "C"]),
            input: .fileDescriptor(.init(rawValue: file.rawValue), closeAfterSpawningProcess: false),
            output: .string(limit: 64 << 20), error: .string(limit: 64 << 10))
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        return CommandOutput(
            exitStatus: status, output: result.standardOutput, error: result.standardError)
    }
}
