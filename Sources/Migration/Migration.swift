import EtcdRegistry
import Leases
import Synchronization

/// Moves a network from one registry to another, while hosts use both.
public struct Migration: Sendable {
    let v2: any SubnetStore
    let v3: any SubnetStore

    /// - Parameters:
    ///   - v2: whose sessions are ``MigrationSession``s.
    ///   - v3: whose sessions are ``MigrationTarget``s.
    public init(from v2: any SubnetStore, to v3: any SubnetStore) {
        self.v2 = v2
        self.v3 = v3
    }

    /// What would be done.
    public func plan() async throws -> MigrationPlan {
        try await once { pass in try await pass.look().plan }
    }

    /// Does it, once.
    ///
    /// - Parameter done: called after each step.
    /// - Returns: What is left: conflicts, and steps when others never stopped writing.
    public func run(done: @escaping @Sendable (MigrationStep) -> Void) async throws -> MigrationPlan {
        try await once { pass in try await pass.settle(pass.look(), done: done).plan }
    }

    /// Runs `body` with sessions at the first endpoints that answer.
    func once<Answer: Sendable>(
        _ body: @escaping @Sendable (MigrationPass) async throws -> Answer
    ) async throws -> Answer {
        var endpoints = MigrationEndpoints(v2: v2.endpoints.count, v3: v3.endpoints.count)
        while true {
            do {
                return try await withSessions(endpoints, body)
            } catch let failure as MigrationFailure {
                guard failure.error.isOfEndpoint, endpoints.advance(failure) else { throw failure }
            }
        }
    }

    func withSessions<Answer: Sendable>(
        _ endpoints: MigrationEndpoints, _ body: @escaping @Sendable (MigrationPass) async throws -> Answer
    ) async throws -> Answer {
        let answer = Mutex<Answer?>(nil)
        // The outer store's own failures must not look like the inner one's.
        try await session(.v3, v3, endpoints[.v3]) { target in
            guard let target = target as? any MigrationTarget else { return try unfit(.v3) }
            try await session(.v2, v2, endpoints[.v2]) { source in
                guard let source = source as? any MigrationSession else { return try unfit(.v2) }
                let result = try await body(MigrationPass(v2: source, v3: target))
                answer.withLock { $0 = result }
            }
        }
        guard let result = answer.withLock({ $0 }) else { throw CancellationError() }
        return result
    }

    private func session(
        _ side: MigrationSide, _ store: any SubnetStore, _ endpoint: Int,
        _ body: @escaping @Sendable (any SubnetSession) async throws -> Void
    ) async throws {
        do {
            try await store.withSession(endpoint: endpoint, body)
        } catch let error as StoreError {
            try Task.checkCancellation()
            throw MigrationFailure(side, error)
        }
    }

    private func unfit(_ side: MigrationSide) throws {
        throw MigrationFailure(side, StoreError(.unsupported, cause: "this registry can't be migrated"))
    }
}

/// Which endpoint of each registry is used.
struct MigrationEndpoints: Sendable {
    private var current: [MigrationSide: Int] = [.v2: 0, .v3: 0]
    private let counts: [MigrationSide: Int]

    init(v2: Int, v3: Int) { counts = [.v2: max(v2, 1), .v3: max(v3, 1)] }

    subscript(side: MigrationSide) -> Int { current[side] ?? 0 }

    /// Goes on to the next one.
    ///
    /// - Returns: Whether it is one that was not tried before; else it is the first again.
    mutating func advance(_ failure: MigrationFailure) -> Bool {
        let next = self[failure.side] + 1
        current[failure.side] = next % (counts[failure.side] ?? 1)
        return next < counts[failure.side] ?? 1
    }
}

extension StoreError {
    /// Whether another member may answer.
    var isOfEndpoint: Bool {
        switch kind {
        case .unavailable, .timedOut, .noLeader, .unsupported: true
        default: false
        }
    }
}
