/// Which endpoint is next, and how long to wait before it is tried.
///
/// The configured ones are tried in turn, each once without a wait; then a jittered wait that doubles with each round.
/// After a round in which all of them failed one of the others is tried, before the wait: those are what etcd says of
/// itself, perhaps wrong, and one that nobody answers at costs a time-out.
struct EndpointFailover: Sendable {
    private let configured: Int
    private var count: Int
    /// The endpoint to use now.
    private(set) var current = 0
    /// Of configured endpoints, since one last worked.
    private var failures = 0
    /// The last failure of each configured endpoint in the row of failures under way.
    private var causes: [Int: String] = [:]
    /// The configured endpoints whose last failure an operator has to mend.
    private var needOperator: Set<Int> = []
    /// The configured one that comes after an other one, and the other one that is next.
    private var resume = 0
    private var nextOther = 0

    static let firstWait = Duration.milliseconds(100)
    private static let longestWait = Duration.seconds(5)
    /// When an operator has to act at every endpoint: each attempt costs etcd a password's hash, perhaps for days.
    private static let longestWaitForOperator = Duration.seconds(60)

    /// - Parameters:
    ///   - configured: how many an operator named; those come first.
    ///   - count: how many there are.
    init(configured: Int, count: Int) {
        self.configured = max(configured, 1)
        self.count = max(count, configured, 1)
    }

    /// Takes another number of endpoints.
    mutating func resize(_ count: Int) {
        self.count = max(count, configured)
        if current >= self.count { current = resume }
    }

    /// Whether every configured endpoint failed since one last worked.
    var allFailed: Bool { failures >= configured }

    /// The longest that a wait after the failures so far may be.
    var longestWait: Duration {
        needOperator.count == configured ? Self.longestWaitForOperator : Self.longestWait
    }

    /// What went wrong with each configured endpoint, each text once.
    var cause: String {
        var seen: Set<String> = []
        return (0..<configured).compactMap { causes[$0] }.filter { seen.insert($0).inserted }.joined(separator: "; ")
    }

    mutating func succeeded() {
        failures = 0
        causes = [:]
        needOperator = []
    }

    /// - Returns: How long to wait before ``current`` is tried.
    mutating func failed(_ error: StoreError, using generator: inout some RandomNumberGenerator) -> Duration {
        guard current < configured else {
            current = resume
            return allFailed ? wait(using: &generator) : .zero
        }
        causes[current] = error.description
        if error.needsOperator { needOperator.insert(current) } else { needOperator.remove(current) }
        failures += 1
        let next = (current + 1) % configured
        current = next
        // After each round, so that a list of five is not five times as slow to find the one that came back.
        guard failures % configured == 0 else { return .zero }
        guard count > configured else { return wait(using: &generator) }
        resume = next
        nextOther %= count - configured
        current = configured + nextOther
        nextOther += 1
        return .zero
    }

    private func wait(using generator: inout some RandomNumberGenerator) -> Duration {
        Backoff.wait(failures / configured - 1, first: Self.firstWait, longest: longestWait, using: &generator)
    }
}

extension StoreError {
    /// Whether it lasts until an operator does something.
    fileprivate var needsOperator: Bool {
        switch kind {
        case .unauthenticated, .permissionDenied, .unsupported, .refused: true
        default: false
        }
    }
}

/// Waits that double, each with its own jitter, so that hosts that lost the registry together don't return together.
enum Backoff {
    /// - Parameter attempt: 0 for the first wait.
    /// - Returns: From half of `first` · 2^`attempt`, at most `longest`, up to the whole of it.
    static func wait(
        _ attempt: Int, first: Duration, longest: Duration, using generator: inout some RandomNumberGenerator
    ) -> Duration {
        let whole = min(first * (1 << min(max(attempt, 0), 16)), longest)
        return whole * Double.random(in: 0.5...1, using: &generator)
    }
}
