import ArgumentParser
import Containers
import FoundationEssentials
import Glibc

@main
struct WeftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weft",
        abstract: "Gives every container on every host an address that every other container can reach.",
        subcommands: [StatusCommand.self, LabCommand.self, MigrateCommand.self, AttachCommand.self, DetachCommand.self]
    )

    static func main() async {
        // A closed pipe (weft lab status | head) ends a write with an error, not this process half way.
        signal(SIGPIPE, SIG_IGN)
        let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init)
        let words = Array(CommandLine.arguments.dropFirst())
        switch name {
        case Pipework.programName: await Pipework.run(words)
        case DHCPScript.programName: runDHCPScript(words)
        default: await main(nil)
        }
    }

    private static func runDHCPScript(_ words: [String]) {
        do {
            try DHCPScript.run(words, environment: ProcessInfo.processInfo.environment)
        } catch {
            Output.error("\(error)", program: DHCPScript.programName)
            Glibc.exit(1)
        }
    }
}
