/// When an object that the kernel refused is tried again: after 50 ms, and twice as long each time up to a limit.
struct RetryTable {
    struct Entry {
        var attempts: Int
        var notBefore: ContinuousClock.Instant
        var error: String
        /// The kernel's state was another than believed; the next try, after a reading, mostly succeeds.
        var isSurprise: Bool
    }

    private(set) var entries: [ObjectKey: Entry] = [:]

    mutating func noteFailure(
        _ object: ObjectKey, error: String, isSurprise: Bool, limit: Duration = .seconds(30),
        now: ContinuousClock.Instant
    ) {
        let attempts = (entries[object]?.attempts ?? 0) + 1
        let delay = min(Duration.milliseconds(50) * (1 << min(attempts - 1, 12)), limit)
        entries[object] = Entry(attempts: attempts, notBefore: now + delay, error: error, isSurprise: isSurprise)
    }

    mutating func noteSuccess(_ object: ObjectKey) {
        if !entries.isEmpty { entries[object] = nil }
    }

    /// The kernel's state changed: what failed before may work now.
    mutating func forgetDelays() {
        for key in entries.keys { entries[key]?.notBefore = .now }
    }

    /// Drops what is not to be tried any more.
    mutating func keep(where isPending: (ObjectKey) -> Bool) {
        entries = entries.filter { isPending($0.key) }
    }

    func isDue(_ object: ObjectKey, now: ContinuousClock.Instant) -> Bool {
        entries[object].map { $0.notBefore <= now } ?? true
    }

    /// The failures that are more than a first surprise.
    var persistent: [ObjectKey: Entry] { entries.filter { !$0.value.isSurprise || $0.value.attempts > 1 } }

    var nextAttempt: ContinuousClock.Instant? { entries.values.map(\.notBefore).min() }
}
