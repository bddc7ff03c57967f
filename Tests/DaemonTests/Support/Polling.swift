import Testing

/// How long a condition may take to come true before a test fails: far more than it takes, since the machine may be
/// busy.
let patience = Duration.seconds(60)

/// Polls until `condition` holds.
///
/// - Returns: how long that took.
/// - Throws: ``Failure`` when it does not hold within `limit`.
@discardableResult
func eventually(
    _ what: String, within limit: Duration = patience, _ condition: () async throws -> Bool
) async throws -> Duration {
    let start = ContinuousClock.now
    while true {
        if try await condition() { return .now - start }
        guard .now - start < limit else { throw Failure("did not come true: \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Polls until `observe` gives `expected`, and shows the lines that differ when it does not.
///
/// - Returns: how long that took.
@discardableResult
func eventually(
    _ what: String, within limit: Duration = patience, equals expected: () throws -> [String],
    _ observe: () throws -> [String]
) async throws -> Duration {
    let start = ContinuousClock.now
    while true {
        let (wanted, found) = (try expected(), try observe())
        if wanted == found { return .now - start }
        guard .now - start < limit else {
            let missing = Set(wanted).subtracting(found).sorted().map { "missing  \($0)" }
            let excess = Set(found).subtracting(wanted).sorted().map { "too much \($0)" }
            throw Failure("\(what):\n" + (missing + excess).prefix(40).joined(separator: "\n"))
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}

extension Duration {
    /// In whole milliseconds, for reports.
    var milliseconds: String { "\(components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000) ms" }
}

/// A line of the test's report: figures that are worth knowing and no reason to fail.
func report(_ text: String) { print("  \(text)") }
