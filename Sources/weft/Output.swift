import Glibc

/// Text that leaves at once, and in one piece, also when standard output is a file or a pipe.
enum Output {
    /// A line on standard output.
    static func line(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }
    /// Text without a line's end on standard output.
    static func text(_ text: String) { write(text, to: STDOUT_FILENO) }
    /// A line on standard error.
    static func error(_ text: String, program: String = "weft") { write("\(program): \(text)\n", to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: CInt) {
        var text = text
        _ = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}
