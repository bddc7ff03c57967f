import ArgumentParser
import Containers
import FoundationEssentials
import Glibc
import LinuxSystem

/// What `weft attach` and `pipework` have in common.
enum AttachRun {
    /// This program's file.
    static var program: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/usr/local/bin/weft"
    }

    /// Prints an ``AttachError`` and turns it into the exit status: 2 for the command line, 1 for the host.
    static func reporting(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as AttachError {
            Output.error("\(error)")
            throw ExitCode(error.isUsage ? 2 : 1)
        }
    }

    static func run(
        _ command: PipeworkCommandLine, with attacher: Attacher, state: AttachState, watches: Bool
    ) async throws {
        switch command {
        case .wait(let name): try await wait(name, with: attacher)
        case .run(let tool, let container, let arguments):
            let file = try await attacher.namespaceFile(of: container)
            // This thread alone moves, and it is the one that becomes the program.
            try Attacher.enter(file)
            try Replacement.become(tool.command + arguments)
        case .attach(let request):
            // When it is interrupted it says so itself, and what became of the host.
            _ = try await Interruption.watching {
                _ = try await attacher.attach(request) { note in if note.isFailure { Output.error(note.text) } }
            }
            if watches { leaveWatcher(attacher, state) }
        }
    }

    /// Waits until an interface of this namespace is up and has a carrier.
    static func wait(_ name: InterfaceName, with attacher: Attacher) async throws {
        // By netlink, since /sys may be another namespace's.
        while !attacher.isReady(name) {
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    static func watch(_ attacher: Attacher, untilIdle: Bool) async throws {
        _ = try await Interruption.watching {
            try await AttachmentWatcher(attacher, endsWhenIdle: untilIdle).run { note in
                if note.isFailure { Output.error(note.text) } else { Output.line(note.text) }
            }
        }
    }

    /// A watcher in the background, unless there is one. It ends with the last attachment.
    private static func leaveWatcher(_ attacher: Attacher, _ state: AttachState) {
        do {
            try attacher.startWatcher([
                program, "attach", "--watch", "--until-idle", "--state-directory", state.stateDirectory,
                "--run-directory", state.runDirectory,
            ])
        } catch {
            Output.error("no watcher runs, so nothing is undone when the container ends: \(error)")
        }
    }
}

/// pipework's own command lines.
enum Pipework {
    static let programName = "pipework"

    static func run(_ words: [String]) async -> Never {
        var status: Int32 = 0
        do {
            let state = try AttachState.parse([])
            let attacher = state.attacher
            let command = try PipeworkCommandLine(parsing: words) { attacher.hasInterface($0) }
            try await AttachRun.run(command, with: attacher, state: state, watches: true)
        } catch {
            Output.error("\(error)", program: programName)
            status = 1
        }
        exit(status)
    }
}
