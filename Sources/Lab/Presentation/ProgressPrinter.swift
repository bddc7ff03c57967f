import Glibc

/// Tells what is being done, a line per step with a tick when it is done.
public struct ProgressPrinter: Sendable {
    private let style: TextStyle
    /// Whether a line can be written over.
    private let isTerminal: Bool
    private let write: @Sendable (String) -> Void

    /// Prints to standard output.
    public static var standardOutput: ProgressPrinter {
        ProgressPrinter(style: .standardOutput, isTerminal: isatty(1) == 1) { text in
            print(text, terminator: "")
            fflush(nil)
        }
    }

    /// - Parameters:
    ///   - style: colours of the marks.
    ///   - isTerminal: whether a running step may be shown and written over.
    ///   - write: takes text with its line ends.
    public init(style: TextStyle, isTerminal: Bool, write: @escaping @Sendable (String) -> Void) {
        self.style = style
        self.isTerminal = isTerminal
        self.write = write
    }

    /// Runs one step. `body` returns the line that stays; until then `title` is shown on a terminal.
    public func step(
        _ title: String, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> StepEnd
    ) async throws {
        if isTerminal { write(style.apply(.faint, to: "  … \(title)")) }
        let start = ContinuousClock.now
        do {
            let end = try await body()
            let time = ContinuousClock.now - start
            let suffix = time < .milliseconds(100) ? "" : style.apply(.faint, to: " (\(Format.seconds(time)))")
            line("\(end.mark(style)) \(end.text)\(suffix)")
        } catch {
            line("\(style.apply(.bad, to: "✗")) \(title)")
            throw error
        }
    }

    /// Prints a line above the steps.
    public func heading(_ text: String) { write(style.apply(.heading, to: text) + "\n") }

    private func line(_ text: String) {
        // Carriage return and "erase the line" (ECMA-48) take back the title.
        write("\(isTerminal ? "\r\u{1b}[K" : "")  \(text)\n")
    }
}

/// How a step ended, with the line that stays. Text alone means that it did what it should.
public struct StepEnd: Hashable, Sendable, ExpressibleByStringInterpolation {
    let text: String
    let isGood: Bool

    /// A step that did what it should.
    public init(stringLiteral value: String) { self.init(value) }

    /// - Parameter isGood: `false` when the step did not do all it should, and yet the next one can go ahead.
    public init(_ text: String, isGood: Bool = true) {
        self.text = text
        self.isGood = isGood
    }

    func mark(_ style: TextStyle) -> String {
        isGood ? style.apply(.good, to: "✓") : style.apply(.bad, to: "✗")
    }
}
