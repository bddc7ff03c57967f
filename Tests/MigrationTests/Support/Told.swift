import Migration
import Synchronization

/// What a migration that goes on has told.
final class Told: Sendable {
    private let events = Mutex<[MigrationEvent]>([])
    var all: [MigrationEvent] { events.withLock { $0 } }
    func add(_ event: MigrationEvent) { events.withLock { $0.append(event) } }

    /// Of the last time that both were in step.
    var conflicts: [MigrationItem] {
        for case .settled(let conflicts) in all.reversed() { return conflicts }
        return []
    }
}

struct Failure: Error {
    let description: String
}

func eventually(_ condition: @Sendable () -> Bool) async throws {
    for _ in 0..<6_000 {
        if condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw Failure(description: "did not come true")
}
