import ArgumentParser
import Lab

struct LabAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Add hosts to a lab that is up.")

    @Argument(help: "How many.")
    var count = 1

    @OptionGroup var name: LabName

    func validate() throws {
        guard count > 0 else { throw ValidationError("add \(count): at least 1") }
    }

    func run() async throws {
        let lab = try Lab.running(name.value)
        try await lab.add(hosts: count, progress: .standardOutput)
        try await LabReport(plan: await lab.plan).printTables(of: lab)
    }
}
