/// Waiting for a condition, with a bound.
enum Poll {
    /// Asks `condition` every `interval` until it gives a value; `nil` when `limit` has passed.
    static func until<Value: Sendable>(
        _ limit: Duration, every interval: Duration = .milliseconds(20),
        isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Value?
    ) async throws -> Value? {
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        while true {
            if let value = try await condition() { return value }
            if clock.now >= deadline { return nil }
            try await Task.sleep(for: interval)
        }
    }
}
