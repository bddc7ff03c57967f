import Glibc
import LinuxSystem

/// Replaces this process by another program.
enum Replacement {
    /// Returns only by throwing: ``SystemCallError`` when the program cannot be run.
    static func become(_ command: [String]) throws -> Never {
        // An ignored signal would stay ignored in the new program.
        signal(SIGPIPE, SIG_DFL)
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        arguments.append(nil)
        if let program = arguments.first.flatMap(\.self) { execvp(program, arguments) }
        throw SystemCallError(code: errno, call: "execvp", subject: command.first ?? "")
    }
}
