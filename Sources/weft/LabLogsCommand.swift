import ArgumentParser
import Lab

struct LabLogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Show what a host's daemon says.")

    @Argument(help: "A host (h1), or etcd.")
    var host: String

    @Flag(name: .shortAndLong, help: "Go on showing new lines.")
    var follow = false

    @OptionGroup var name: LabName

    func run() async throws {
        let lab = try Lab.running(name.value)
        let log = try await lab.logPath(host)
        try Replacement.become(["tail", "-n", follow ? "20" : "+1"] + (follow ? ["-F"] : []) + [log])
    }
}
