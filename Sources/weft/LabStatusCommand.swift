import ArgumentParser
import Lab

struct LabStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show hosts, leases and routes, and ping every container from every other.")

    @OptionGroup var name: LabName

    func run() async throws {
        let lab = try Lab.running(name.value)
        try await LabReport(plan: await lab.plan).printTables(of: lab)
    }
}
