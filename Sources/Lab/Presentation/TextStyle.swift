import FoundationEssentials
import Glibc

/// Colours, where the output is a terminal that wants them (no-color.org).
public struct TextStyle: Hashable, Sendable {
    /// What a piece of text says; the value is the SGR parameter of ECMA-48.
    public enum Tone: String, Hashable, Sendable {
        case good = "32"
        case bad = "31"
        case heading = "1"
        case faint = "2"
    }

    /// Whether escape sequences are written at all.
    public let isColoured: Bool

    /// Takes no account of the terminal or of NO_COLOR: ``standardOutput`` does.
    public init(isColoured: Bool) { self.isColoured = isColoured }

    /// Coloured when standard output is a terminal and NO_COLOR is not set.
    public static var standardOutput: TextStyle {
        let refuses = ProcessInfo.processInfo.environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        return TextStyle(isColoured: isatty(1) == 1 && !refuses)
    }

    /// The text between escape sequences; unchanged without a tone or without colours.
    public func apply(_ tone: Tone?, to text: String) -> String {
        guard isColoured, let tone else { return text }
        return "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m"
    }
}
