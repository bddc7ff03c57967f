import Glibc
import LinuxSystem
import Subprocess

/// Runs `docker`, `ovs-vsctl` and the like, without a shell.
struct CommandTool: Sendable {
    private let directories: [String]

    /// Reads PATH once, here, and adds the directories that a service's lacks.
    init() {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        directories =
            path.split(separator: ":").map(String.init) + ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/sbin", "/bin"]
    }

    /// The path of a program; `nil` when it is not installed.
    func find(_ name: String) -> String? {
        directories.lazy.map { "\($0)/\(name)" }.first { path in
            // Of a directory, X_OK says that it may be entered.
            var status = stat()
            return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }
    }

    /// What a program left behind.
    struct Outcome: Sendable {
        var status: Int32
        var output: String
        var errors: String
        var succeeded: Bool { status == 0 }
        /// The first line that it complained with.
        var complaint: String {
            let lines = (errors.isEmpty ? output : errors).split(whereSeparator: \.isNewline)
            return lines.first.map(String.init) ?? "status \(status)"
        }
    }

    /// Runs a program to its end.
    ///
    /// - Throws: ``AttachError`` when it is not installed, cannot be started, or takes longer than `limit`.
    func attempt(_ name: String, _ arguments: [String], limit: Duration = .seconds(30)) async throws(AttachError)
        -> Outcome
    {
        guard let path = find(name) else { throw AttachError("\(name) is not installed") }
        do {
            return try await withThrowingTaskGroup(of: Outcome?.self) { group in
                group.addTask { try await Self.spawn(path, arguments) }
                group.addTask {
                    try await Task.sleep(for: limit)
                    return nil
                }
                defer { group.cancelAll() }
                guard let outcome = try await group.next() ?? nil else {
                    throw AttachError("\(name) \(arguments.joined(separator: " ")): no end within \(limit)")
                }
                return outcome
            }
        } catch let error as AttachError {
            throw error
        } catch is CancellationError {
            throw .interrupted
        } catch {
            throw AttachError("\(name): \(error)")
        }
    }

    /// Runs a program that has to succeed.
    ///
    /// - Throws: ``AttachError`` with its own words.
    @discardableResult
    func require(_ name: String, _ arguments: [String]) async throws(AttachError) -> String {
        let outcome = try await attempt(name, arguments)
        guard outcome.succeeded else {
            throw AttachError("\(name) \(arguments.joined(separator: " ")): \(outcome.complaint)")
        }
        return outcome.output
    }

    private static func spawn(_ path: String, _ arguments: [String]) async throws -> Outcome {
        let result = try await Subprocess.run(
            .path(.init(path)), arguments: Arguments(arguments), environment: .inherit.updating(["LC_ALL": "C"]),
            input: .none, output: .string(limit: 16 << 20), error: .string(limit: 64 << 10))
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        return Outcome(status: status, output: result.standardOutput, errors: result.standardError)
    }
}
