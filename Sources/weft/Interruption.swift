import Dispatch
import Glibc
import Lab

/// Turns Ctrl-C and SIGTERM into cancellation, so that what was begun is undone.
enum Interruption {
    /// Runs `body` in a task that the first SIGINT, SIGTERM or SIGHUP cancels.
    static func cancelling(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await body() }
        let sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { task.cancel() }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        do {
            try await task.value
        } catch is CancellationError {
            throw LabError("interrupted; the lab is up", remedy: "weft lab status shows it, weft lab down removes it.")
        }
    }
}
