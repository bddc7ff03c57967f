import Glibc
import LinuxSystem
import Logging
import WeftDaemon

/// `weftd`: reads the command line and runs the daemon.
@main
struct WeftDaemonCommand {
    static func main() async {
        ProcessMemory.useOneArena()
        let environment = Environment.current
        let configuration: DaemonConfiguration
        do throws(ConfigurationError) {
            configuration = try DaemonCommandLine.parse(
                Array(CommandLine.arguments.dropFirst()), environment: environment)
        } catch {
            fail("\(error)", status: 2)
        }
        switch configuration.mode {
        case .help:
            print(DaemonCommandLine.help, terminator: "")
        case .version:
            print(Version.current)
        case .check:
            let report = await Preflight(configuration: configuration).run()
            print(report.text, terminator: "")
            exit(report.isUsable ? 0 : 1)
        case .run:
            await run(configuration, environment)
        }
    }

    private static func run(_ configuration: DaemonConfiguration, _ environment: [String: String]) async {
        let level: Logger.Level =
            switch configuration.verbosity {
            case 0: .info
            case 1: .debug
            default: .trace
            }
        let isJournal = environment["JOURNAL_STREAM"] != nil
        let logger = Logger(label: "weftd") { StandardErrorLog(label: $0, level: level, isJournal: isJournal) }
        logger.notice("starting", metadata: ["version": "\(Version.current)"])
        do {
            try await Daemon(
                configuration: configuration, notifier: ServiceNotifier(address: environment["NOTIFY_SOCKET"]),
                logger: logger
            ).run()
        } catch let error as ConfigurationError {
            fail("\(error)", status: 2)
        } catch {
            fail("\(error)", status: 1)
        }
    }

    private static func fail(_ message: String, status: CInt) -> Never {
        var line = "weftd: \(message)\n"
        _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        exit(status)
    }
}
