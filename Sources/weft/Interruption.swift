import Dispatch
import Glibc
import Lab

/// Turns Ctrl-C and SIGTERM into cancellation, so that what was begun is undone.
enum Interruption {
    /// Runs `body` in a task that the first SIGINT, SIGTERM or SIGHUP cancels.
    static func cancelling(_ body: @escaping @Sendable () async throws -> Void) async throws {
        if try await watching(body) {
            throw LabError("interrupted; the lab is up", remedy: "weft lab status shows it, weft lab down removes it.")
        }
    }

    /// The same for what may be stopped at any time.
    ///
    /// - Returns: Whether it was.
    static func watching(_ body: @escaping @Sendable () async throws -> Void) async throws -> Bool {
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
            return false
        } catch is CancellationError {
            return true
        }
    }
}
