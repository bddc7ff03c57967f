/// What a command left behind when it ended by itself.
public struct CommandOutput: Hashable, Sendable {
    /// The exit status; 128 plus the signal's number when a signal ended it.
    public var exitStatus: Int32
    /// Standard output.
    public var output: String
    /// Standard error.
    public var error: String

    /// All fields as given; with none, a command that succeeded in silence.
    public init(exitStatus: Int32 = 0, output: String = "", error: String = "") {
        self.exitStatus = exitStatus
        self.output = output
        self.error = error
    }
}

/// Why a command gave no exit status.
public enum CommandFailure: Error, Hashable, Sendable {
    case notFound
    case timedOut(Duration)
    case notStarted(String)
}

/// Finds and runs the firewall commands. The keeper's only way to the host, so that tests can stand in for it.
public protocol CommandRunner: Sendable {
    /// The path of `tool` with symbolic links resolved, or `nil` when it is not installed. The last component tells
    /// which flavour `iptables` is (`xtables-nft-multi`, `xtables-legacy-multi`), without running it.
    func locate(_ tool: String) -> String?

    /// Runs `tool` with `input` on its standard input and waits for it.
    func run(_ tool: String, _ arguments: [String], input: String) async throws(CommandFailure) -> CommandOutput
}
