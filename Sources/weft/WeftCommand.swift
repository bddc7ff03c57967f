import ArgumentParser
import Glibc

@main
struct WeftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weft",
        abstract: "Gives every container on every host an address that every other container can reach.",
        subcommands: [StatusCommand.self, LabCommand.self, MigrateCommand.self]
    )

    static func main() async {
        // A closed pipe (weft lab status | head) ends a write with an error, not this process half way.
        signal(SIGPIPE, SIG_IGN)
        await main(nil)
    }
}
