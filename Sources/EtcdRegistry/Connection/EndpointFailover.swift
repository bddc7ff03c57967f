/// Which endpoint is next, and how long to wait before it is tried.
///
/// Endpoints are tried in turn, each once without a wait; then a jittered wait that doubles with each round.
struct EndpointFailover: Sendable {
    private var count: Int
    /// The endpoint to use now.
    private(set) var current = 0
    private var failures = 0
    /// The last failure of each endpoint in the row of failures under way.
    private var causes: [Int: String] = [:]
    /// The endpoints whose last failure an operator has to mend.
    private var needOperator: Set<Int> = []

    static let firstWait = Duration.milliseconds(100)
    private static let longestWait = Duration.seconds(5)
    /// When an operator has to act at every endpoint: each attempt costs etcd a password's hash, perhaps for days.
    private static let longestWaitForOperator = Duration.seconds(60)

    init(count: Int) {
        self.count = max(count, 1)
    }

    /// Takes another number of endpoints. What is known of those that stay, stays.
    mutating func resize(_ count: Int) {
        guard count != self.count, count > 0 else { return }
        self.count = count
        if current >= count { current = 0 }
        causes = causes.filter { $0.key < count }
        needOperator = needOperator.filter { $0 < count }
    }

    /// Whether every endpoint failed since one last worked.
    var allFailed: Bool { failures >= count }

    /// The longest that a wait after the failures so far may be.
    var longestWait: Duration {
        needOperator.count == count ? Self.longestWaitForOperator : Self.longestWait
    }

    /// What went wrong with each endpoint, each text once.
    var cause: String {
        var seen: Set<String> = []
        return (0..<count).compactMap { causes[$0] }.filter { seen.insert($0).inserted }.joined(separator: "; ")
    }

    mutating func succeeded() {
        failures = 0
        causes = [:]
        needOperator = []
    }

    /// - Returns: How long to wait before ``current`` is tried.
    mutating func failed(_ error: StoreError, using generator: inout some RandomNumberGenerator) -> Duration {
        causes[current] = error.description
        if error.needsOperator { needOperator.insert(current) } else { needOperator.remove(current) }
        failures += 1
        current = (current + 1) % count
        guard allFailed else { return .zero }
        // After each round, so that a list of five is not five times as slow to find the one that came back.
        guard failures % count == 0 else { return .zero }
        return Backoff.wait(failures / count - 1, first: Self.firstWait, longest: longestWait, using: &generator)
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
