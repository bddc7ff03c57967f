import ArgumentParser
import Lab

struct LabShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "Open a shell on a host or in a container, or run one command there.",
        usage: "weft lab shell <place> [-- <command> ...]")

    @Argument(help: "A host (h1) or a container (h1/c2).")
    var place: String

    @Argument(parsing: .postTerminator, help: "The command to run instead of a shell.")
    var command: [String] = []

    @OptionGroup var name: LabName

    func run() async throws {
        let lab = try Lab.running(name.value)
        try Replacement.become(try await lab.enterCommand(place, command: command))
    }
}
