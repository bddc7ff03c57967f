import FoundationEssentials
import IPNetwork
import LinuxSystem

/// TCP throughput between two network namespaces, by iperf3.
enum Throughput {
    /// One stream for `seconds`, in bits per second; `nil` when iperf3 is not installed.
    ///
    /// - Throws: ``LabError`` with iperf3's own words.
    static func measure(
        from source: NetworkNamespace, to destination: NetworkNamespace, address: IPv4Address, seconds: Int = 2
    ) async throws -> Double? {
        guard Tool.find("iperf3") != nil else { return nil }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try await Tool.attempt(
                    enter(destination, ["iperf3", "--server", "--one-off", "--bind", "\(address)"]),
                    isCancellable: true)
            }
            defer { group.cancelAll() }
            let client = enter(
                source,
                ["iperf3", "--client", "\(address)", "--time", "\(seconds)", "--json", "--connect-timeout", "2000"])
            // The server needs a moment to listen; iperf3 has no way to tell.
            var reason = ""
            let rate = try await Poll.until(.seconds(3), every: .milliseconds(50)) { () -> Double? in
                // Its exit status is 0 also when it could not connect; the JSON tells.
                let outcome = try await Tool.attempt(client)
                let report = try? JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
                reason = report?.error ?? outcome.errors.trimmingLines
                return report?.end.sum_received?.bits_per_second
            }
            guard let rate else { throw LabError("iperf3 failed: \(reason)") }
            return rate
        }
    }

    private static func enter(_ namespace: NetworkNamespace, _ command: [String]) -> [String] {
        ["nsenter", "--net=\(namespace.path)", "--"] + command
    }

    /// The part of iperf3's JSON that matters.
    private struct Report: Decodable {
        struct End: Decodable { let sum_received: Sum? }
        struct Sum: Decodable { let bits_per_second: Double }
        let end: End
        let error: String?
    }
}
