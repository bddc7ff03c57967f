import FoundationEssentials
import Subprocess

/// Runs the programs that the lab is made with: `ip`, `bridge`, `nft`, `etcdctl`, …
enum Tool {
    /// What a program left behind.
    struct Outcome: Sendable {
        let succeeded: Bool
        let output: String
        let errors: String
    }

    /// Directories searched for programs; sbin is not in every user's PATH.
    private static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    private static let outputLimit = 16 << 20

    /// The path of a program, or `nil` when it is not installed.
    static func find(_ name: String) -> String? {
        searchPath.split(separator: ":").map { "\($0)/\(name)" }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }

    /// Runs a program to its end; a failure of the program is not an error here.
    ///
    /// - Parameter isCancellable: whether the program is killed when the task is cancelled, for one that runs on.
    /// - Throws: ``LabError`` when it cannot be started.
    static func attempt(_ command: [String], input: String = "", isCancellable: Bool = false) async throws -> Outcome {
        guard let name = command.first else { throw LabError("an empty command") }
        guard let path = name.hasPrefix("/") ? name : find(name) else {
            throw LabError(
                "\(name) is not installed", remedy: "Scripts/install-dependencies.sh installs what the lab needs.")
        }
        let environment = Environment.inherit.updating(["PATH": searchPath, "LC_ALL": "C", "ETCDCTL_API": "3"])
        let arguments = Arguments(Array(command.dropFirst()))
        // A cancelled task does not kill a program half way: each is short, and ends in a state that can be undone.
        let task = Task {
            try await run(
                .path(.init(path)), arguments: arguments, environment: environment, input: .string(input),
                output: .string(limit: outputLimit), error: .string(limit: outputLimit))
        }
        let result =
            try await isCancellable
            ? withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            } : task.value
        if !isCancellable { try Task.checkCancellation() }
        return Outcome(
            succeeded: result.terminationStatus.isSuccess, output: result.standardOutput, errors: result.standardError)
    }

    /// Runs a program that has to succeed.
    ///
    /// - Throws: ``LabError`` with the program's own words.
    @discardableResult
    static func require(_ command: [String], input: String = "") async throws -> String {
        let outcome = try await attempt(command, input: input)
        guard outcome.succeeded else {
            try Task.checkCancellation()
            throw LabError("\(command.joined(separator: " ")) failed: \(outcome.errors.trimmingLines)")
        }
        return outcome.output
    }

    /// Runs commands for `ip` in one network namespace, in one process.
    static func apply(_ script: LinkScript) async throws {
        try await require(["ip", "-n", script.namespace, "-batch", "-"], input: script.text)
    }

    /// The command that runs `command` in the network namespace called `namespace`, with its own /sys.
    static func inside(_ namespace: String, _ command: [String]) -> [String] {
        ["ip", "netns", "exec", namespace] + command
    }
}

extension String {
    /// Without empty lines and white space at the ends.
    var trimmingLines: String {
        split(whereSeparator: \.isNewline).joined(separator: "\n")
    }
}
