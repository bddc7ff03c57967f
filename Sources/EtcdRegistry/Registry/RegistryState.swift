import Leases

/// A network config in force.
struct ActiveConfig {
    let text: [UInt8]
    let value: NetworkConfig
}

/// This host's lease.
struct OwnHold {
    /// As the registry holds it: the revision that the next write depends on.
    var record: LeaseRecord
    /// As published.
    var lease: Lease
    /// When it has to be renewed; `nil` for a reservation.
    var renewAt: ContinuousClock.Instant?

    var key: SubnetKey { lease.key }
}

/// What the registry's task waits for.
enum RegistryInput: Sendable {
    case events([SubnetEvent])
    case ended(WatchEnd)
    case failed(StoreError)
    /// Some deadline has come.
    case deadline
    case addressChanged
}

/// When a value of ours that another wrote over is written again: soon the first time, since a stock daemon that is
/// being replaced writes once at its start; then ever more seldom, since two hosts with one PublicIP would fight.
struct RewriteSchedule {
    private(set) var at: ContinuousClock.Instant?
    private var count = 0
    private var last: ContinuousClock.Instant?

    static let firstWait = Duration.seconds(15)
    static let longestWait = Duration.seconds(900)

    mutating func plan(now: ContinuousClock.Instant, atOnce: Bool) {
        guard at == nil else { return }
        if let last, now - last > Self.longestWait * 2 { count = 0 }
        var generator = SystemRandomNumberGenerator()
        at =
            atOnce && count == 0
            ? now : now + Backoff.wait(count, first: Self.firstWait, longest: Self.longestWait, using: &generator)
        count += 1
        last = at
    }

    mutating func done() { at = nil }
}

/// Whether a line that would repeat is due: when its text changed, and every few minutes.
struct RepeatedLog {
    private var text: String?
    private var at: ContinuousClock.Instant?

    static let interval = Duration.seconds(300)

    mutating func isDue(_ new: String, at now: ContinuousClock.Instant) -> Bool {
        if new == text, let at, now - at < Self.interval { return false }
        text = new
        at = now
        return true
    }
}
