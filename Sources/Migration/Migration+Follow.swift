import EtcdRegistry
import Leases
import Synchronization

/// What a migration that goes on tells.
public enum MigrationEvent: Hashable, Sendable {
    /// A step was done.
    case done(MigrationStep)
    /// Both registries are in step, but for these conflicts; told when that is new.
    case settled(conflicts: [MigrationItem])
    /// A registry fails; it is tried again. Told when it is new.
    case unavailable(MigrationFailure)
}

extension Migration {
    /// Keeps both registries in step until its task is cancelled.
    ///
    /// Each pass looks at both registries as a whole, so that nothing depends on an event that may be lost; watches only
    /// say when to look. v3 renews leases without an event, and what is left of them is looked up at an interval.
    ///
    /// - Parameters:
    ///   - interval: between two looks when nothing happens.
    ///   - tell: called in order.
    /// - Throws: `CancellationError` alone.
    public func follow(
        every interval: Duration = .seconds(15), tell: @escaping @Sendable (MigrationEvent) -> Void
    ) async throws {
        var endpoints = MigrationEndpoints(v2: v2.endpoints.count, v3: v3.endpoints.count)
        var told: MigrationEvent?
        var failures = 0
        while true {
            do {
                let before = told
                told = try await withSessions(endpoints) { pass in
                    try await Self.follow(pass, every: interval, before, tell)
                }
                failures = 0
            } catch let failure as MigrationFailure {
                try Task.checkCancellation()
                let isNewRound = !endpoints.advance(failure)
                if !isNewRound { continue }
                failures += 1
                let event = MigrationEvent.unavailable(failure)
                if event != told { tell(event) }
                told = event
            }
            try await Task.sleep(for: .milliseconds(200) * (1 << min(failures, 5)))
        }
    }

    /// One session with each.
    ///
    /// - Returns: What was told last, when a watch ended and new sessions are due.
    private static func follow(
        _ pass: MigrationPass, every interval: Duration, _ told: MigrationEvent?,
        _ tell: @escaping @Sendable (MigrationEvent) -> Void
    ) async throws -> MigrationEvent? {
        var told = told
        func look(_ known: MigrationPass.View?) async throws -> MigrationPass.View {
            let view = try await pass.settle(pass.look(reusing: known)) { tell(.done($0)) }
            let event = MigrationEvent.settled(conflicts: view.plan.conflicts)
            if !event.isLike(told) { tell(event) }
            told = event
            return view
        }
        var view = try await look(nil)
        let news = MigrationNews()
        return try await withThrowingTaskGroup { group in
            defer { group.cancelAll() }
            for (side, session, revision) in [
                (MigrationSide.v2, pass.v2 as any SubnetSession, view.v2.revision), (.v3, pass.v3, view.v3.revision),
            ] {
                group.addTask {
                    do throws(StoreError) {
                        _ = try await session.watch(after: revision) { _ in news.add { $0.isChanged = true } }
                        news.add { $0.isWatchEnded = true }
                    } catch {
                        news.add { $0.failure = MigrationFailure(side, error) }
                    }
                }
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: interval)
                    news.add { $0.isDue = true }
                }
            }
            for await _ in news.stream {
                let batch = news.take()
                if let failure = batch.failure { throw failure }
                if batch.isWatchEnded { return told }
                if batch.isDue || batch.isChanged { view = try await look(batch.isDue ? nil : view) }
            }
            throw CancellationError()
        }
    }
}

/// What happened since it was last asked; a burst is one.
private final class MigrationNews: Sendable {
    struct Batch {
        var isChanged = false
        var isDue = false
        var isWatchEnded = false
        var failure: MigrationFailure?
    }

    let stream: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation
    private let batch = Mutex(Batch())

    init() { (stream, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func add(_ change: (inout Batch) -> Void) {
        batch.withLock { change(&$0) }
        signal.yield()
    }

    func take() -> Batch {
        batch.withLock { batch in
            defer { batch = Batch() }
            return batch
        }
    }
}

extension MigrationEvent {
    /// Whether it says the same, but for the time that is left.
    fileprivate func isLike(_ other: MigrationEvent?) -> Bool {
        guard case .settled(let new) = self, case .settled(let old)? = other else { return self == other }
        return new.map(\.subject) == old.map(\.subject) && new.map(\.verdict) == old.map(\.verdict)
    }
}
