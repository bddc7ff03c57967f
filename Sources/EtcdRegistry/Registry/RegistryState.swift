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
    /// All leases that were made before this one are known, so that none can turn out to be in its way.
    var isConfirmed = true

    var key: SubnetKey { lease.key }
}

/// What the registry's task waits for.
enum RegistryInput: Sendable {
    case events([SubnetEvent])
    case ended(WatchEnd)
    case failed(StoreError)
    /// The alarm that was set for this instant.
    case deadline(ContinuousClock.Instant)
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

    /// It could not be written.
    mutating func postpone(until new: ContinuousClock.Instant) { at = new }

    mutating func done() { at = nil }
}

/// Writes of our own key by others that change nothing: a stock daemon writes when it starts and once a day, a Weft
/// that takes the lease over once. More in a short time come from two hosts or daemons with one PublicIP.
struct ForeignWrites {
    /// What a write of this host's that ended without an answer would have written.
    var unanswered: [UInt8]?
    private var instants: [ContinuousClock.Instant] = []

    static let span = Duration.seconds(600)
    static let most = 2

    /// - Parameter value: what is there now. Once it may be this host's own.
    mutating func areTooMany(with value: [UInt8], at now: ContinuousClock.Instant) -> Bool {
        defer { unanswered = nil }
        if value == unanswered { return false }
        instants = instants.suffix(Self.most).filter { now - $0 < Self.span } + [now]
        return instants.count > Self.most
    }
}

/// Tells of the next deadline; of one at a time.
struct Alarm: ~Copyable {
    private var next: ContinuousClock.Instant?
    private var timer: Task<Void, Never>?

    /// Calls `ring` at `instant`, unless set anew before.
    mutating func set(
        _ instant: ContinuousClock.Instant?, _ ring: @escaping @Sendable (ContinuousClock.Instant) -> Void
    ) {
        guard instant != next else { return }
        next = instant
        timer?.cancel()
        timer = instant.map { instant in
            Task {
                // Only cancellation ends it early.
                guard (try? await ContinuousClock().sleep(until: instant)) != nil else { return }
                ring(instant)
            }
        }
    }

    /// Whether what rang at `instant` is what is set; a ring may be under way while the alarm is set anew.
    mutating func accepts(_ instant: ContinuousClock.Instant) -> Bool {
        guard instant == next else { return false }
        next = nil
        return true
    }

    deinit { timer?.cancel() }
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
