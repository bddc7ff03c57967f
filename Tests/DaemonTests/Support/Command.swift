import Foundation
import Synchronization

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs a program to its end.
///
/// - Returns: what it wrote to its standard output.
/// - Throws: ``Failure`` with what it wrote when its status is not 0.
@discardableResult
func run(_ arguments: [String], input: [UInt8] = []) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let (output, errors, standardInput) = (Pipe(), Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    process.standardInput = standardInput
    try process.run()
    try standardInput.fileHandleForWriting.write(contentsOf: input)
    try standardInput.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw Failure("\(arguments.joined(separator: " ")): status \(process.terminationStatus): \(text)\(complaint)")
    }
    return text
}

/// A program that runs beside the test, its standard error and output in a file; killed with the test process.
final class BackgroundProcess: Sendable {
    let logPath: String
    private let state: Mutex<(pid: pid_t, status: Int32?)>

    private static let all: Mutex<Set<pid_t>> = {
        atexit { BackgroundProcess.all.withLock { for pid in $0 { kill(pid, SIGKILL) } } }
        return Mutex([])
    }()

    /// - Parameter environment: the whole of it but for PATH.
    init(_ arguments: [String], environment: [String: String] = [:], log: String) throws {
        logPath = log
        var pid = pid_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let path = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        var words = arguments.map { strdup($0) } + [nil]
        var variables = (path + environment.map { "\($0.key)=\($0.value)" }).map { strdup($0) } + [nil]
        defer { for word in words + variables { free(word) } }
        let code = posix_spawnp(&pid, arguments[0], &actions, nil, &words, &variables)
        guard code == 0 else { throw Failure("cannot start \(arguments[0]): error \(code)") }
        state = Mutex((pid, nil))
        let started = pid
        Self.all.withLock { _ = $0.insert(started) }
    }

    deinit { stop() }

    var pid: pid_t { state.withLock { $0.pid } }
    var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// The exit status, 128 and the signal's number for a death by signal; `nil` while it runs.
    var exitStatus: Int32? { wait(options: WNOHANG) }

    /// Sends `signal` and waits for the end.
    @discardableResult
    func stop(_ signal: Int32 = SIGKILL) -> Int32 {
        if exitStatus == nil { kill(pid, signal) }
        return wait(options: 0) ?? -1
    }

    func signal(_ number: Int32) { if exitStatus == nil { kill(pid, number) } }

    private func wait(options: Int32) -> Int32? {
        state.withLock { state in
            if let status = state.status { return status }
            var raw: Int32 = 0
            var result: pid_t
            repeat { result = waitpid(state.pid, &raw, options) } while result < 0 && errno == EINTR
            guard result != 0 else { return nil }
            let pid = state.pid
            Self.all.withLock { _ = $0.remove(pid) }
            state.status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
            return state.status
        }
    }
}
