import ArgumentParser
import Glibc
import Lab
import Leases
import Operations

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show this host and its peers, as weftd has them.",
        discussion: """
            Asks every weftd of this host, or those of --socket. The exit status is 0 when each is ready, 1 when one is \
            not, or does not answer.
            """)

    @Option(
        help: ArgumentHelp("A daemon's socket; may be given several times. (default: all in \(DaemonSocket.folder))"))
    var socket: [String] = []

    @Flag(help: "Print the form that docs/status.md describes, a line for each daemon.")
    var json = false

    @Flag(help: "Show it again and again, until Ctrl-C.")
    var watch = false

    @Option(help: ArgumentHelp("Seconds between two looks of --watch, 1 to 3600.", valueName: "seconds"))
    var interval = 2

    func validate() throws {
        guard (1...3600).contains(interval) else { throw ValidationError("--interval \(interval): 1 to 3600") }
    }

    func run() async throws {
        guard watch else {
            let look = await look()
            Output.text(look.text)
            if !look.isGood { throw ExitCode(1) }
            return
        }
        _ = try await Interruption.watching {
            while true {
                let text = await look().text
                // To the top left, and clear what is below: no flicker, and the scrollback stays.
                Output.text(isatty(STDOUT_FILENO) == 1 && !json ? "\u{1b}[H\u{1b}[J\(text)" : text)
                try await Task.sleep(for: .seconds(interval))
            }
        }
    }

    private func look() async -> (text: String, isGood: Bool) {
        let sockets = socket.isEmpty ? DaemonSocket.all() : socket.map(DaemonSocket.init)
        guard !sockets.isEmpty else {
            let error = StatusError(
                "no weftd has a socket in \(DaemonSocket.folder)",
                "see that one runs (systemctl status weftd); one with another --subnet-file is asked with --socket")
            Output.error("\(error)")
            return ("", false)
        }
        var texts: [String] = []
        var isGood = true
        for socket in sockets {
            do throws(StatusError) {
                let report = try await socket.report()
                isGood = isGood && report.isReady
                texts.append(
                    json
                        ? String(decoding: report.json.serialised, as: UTF8.self) + "\n"
                        : StatusScreen(report, style: .standardOutput).text)
            } catch {
                isGood = false
                Output.error("\(error)")
            }
        }
        return (texts.joined(separator: json ? "" : "\n"), isGood)
    }
}
