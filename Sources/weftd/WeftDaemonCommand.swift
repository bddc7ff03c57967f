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
            say(DaemonCommandLine.help(program: CommandLine.arguments.first ?? "weftd"))
        case .version:
            say("\(Version.line)\n")
        case .check:
            let report = await Preflight(configuration: configuration).run()
            print(report.text, terminator: "")
            exit(report.isUsable ? 0 : 1)
        case .removeRules:
            do {
                print(try await FirewallRemoval().run())
            } catch {
                fail("\(error)", status: 1)
            }
        case .run:
            await run(configuration, environment)
        }
    }

    private static func run(_ configuration: DaemonConfiguration, _ environment: [String: String]) async {
        let level: Logger.Level =
            switch configuration.verbosity {
            case ...0: .info
            case 1: .debug
            default: .trace
            }
        let isJournal = environment["JOURNAL_STREAM"] != nil
        let logger = Logger(label: "weftd") { StandardErrorLog(label: $0, level: level, isJournal: isJournal) }
        logger.notice("starting", metadata: ["version": "\(Version.current)"])
        for setting in configuration.unused {
            logger.notice(
                "a setting has no effect", metadata: ["setting": "\(setting.name)", "reason": "\(setting.reason)"])
        }
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

    /// On standard error, where flannel has its usage and its version.
    private static func say(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = write(STDERR_FILENO, rest.baseAddress, rest.count)
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }

    private static func fail(_ message: String, status: CInt) -> Never {
        say("weftd: \(message)\n")
        exit(status)
    }
}
