import ArgumentParser
import Lab

struct LabBreakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "break", abstract: "Break something, and see how long it takes to heal and what it costs.",
        discussion: """
            Meanwhile a container on the host pings one on another host 100 times a second.

            """ + kinds)

    /// A line per kind.
    private static var kinds: String {
        let width = Breakage.allCases.map(\.rawValue.count).max() ?? 0
        return Breakage.allCases.map { kind in
            let space = String(repeating: " ", count: width - kind.rawValue.count + 2)
            return "  " + kind.rawValue + space + kind.sentence(host: "the host", device: "flannel.1")
        }.joined(separator: "\n")
    }

    @Argument(help: ArgumentHelp("What to break.", valueName: "kind"))
    var breakage: Breakage

    @Argument(help: "The host that it happens to.")
    var host = "h1"

    @Option(name: .customLong("for"), help: "How long etcd stays away: 10s, 1m, or a number of seconds.")
    var outage = Seconds(count: 10)

    @Option(help: "How long to wait until all is as before.")
    var wait = Seconds(count: 10)

    @OptionGroup var name: LabName

    func run() async throws {
        let lab = try Lab.running(name.value)
        let report = try await lab.breaks(
            breakage, on: host, outage: .seconds(outage.count), limit: .seconds(wait.count)
        ) { print($0) }
        print(report.text(.standardOutput), terminator: "")
        if report.healed == nil {
            if breakage != .daemon, breakage != .etcd {
                print("  weft lab break daemon \(host) restarts the daemon, which usually repairs it.")
            }
            throw ExitCode.failure
        }
    }
}

extension Breakage: ExpressibleByArgument {}

/// A time on the command line, in whole seconds.
struct Seconds: ExpressibleByArgument {
    let count: Int

    init(count: Int) { self.count = count }

    init?(argument: String) {
        let factor = argument.hasSuffix("m") ? 60 : 1
        let digits = argument.hasSuffix("m") || argument.hasSuffix("s") ? argument.dropLast() : argument[...]
        guard let number = Int(digits), (1...3600).contains(number) else { return nil }
        count = number * factor
    }

    var defaultValueDescription: String { "\(count)s" }
}
