import Testing

@testable import Firewall

@Suite struct SubprocessRunnerTests {
    /// A command that fails at once reads nothing; what it says must arrive, and its end must not end this process.
    @Test func commandThatReadsNothingTellsWhy() async throws {
        let input = String(repeating: "add rule ip t c accept\n", count: 50_000)
        for _ in 0..<20 {
            let result = try await SubprocessRunner().run("sh", ["-c", "echo no >&2; exit 3"], input: input)
            #expect(result == CommandOutput(exitStatus: 3, error: "no\n"))
        }
        let all = try await SubprocessRunner().run("wc", ["-l"], input: input)
        #expect(all.output.filter(\.isNumber) == "50000")
        #expect(try await SubprocessRunner().run("cat", [], input: "").output.isEmpty)
    }

    @Test func stoppingTheTaskStopsTheCommandAlone() async throws {
        for _ in 0..<20 {
            let task = Task {
                try await SubprocessRunner().run("cat", [], input: String(repeating: "x", count: 1 << 20))
            }
            task.cancel()
            _ = try? await task.value
        }
        #expect(try await SubprocessRunner().run("echo", ["on"], input: "").output == "on\n")
    }
}
