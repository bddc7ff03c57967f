import ArgumentParser
import Lab

struct LabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Hosts, containers and an etcd in network namespaces, to see it work and to break it.",
        subcommands: [
            LabUpCommand.self, LabStatusCommand.self, LabShellCommand.self, LabAddCommand.self, LabBreakCommand.self,
            LabLogsCommand.self, LabDownCommand.self,
        ]
    )
}

/// Which lab a command is about.
struct LabName: ParsableArguments {
    @Option(name: .customLong("name"), help: "The lab's name; labs of different names run side by side.")
    var value = LabReport.defaultName
}

extension LabReport {
    /// For standard output.
    init(plan: LabPlan) { self.init(plan: plan, style: .standardOutput) }
}

extension LabPlan.Backend: ExpressibleByArgument {}
