import FoundationEssentials
import Glibc

/// Colours, where the output is a terminal that wants them (no-color.org).
public struct TextStyle: Hashable, Sendable {
    public enum Tone: String, Hashable, Sendable {
        case good = "32"
        case bad = "31"
        case heading = "1"
        case faint = "2"
    }

    public let isColoured: Bool

    public init(isColoured: Bool) { self.isColoured = isColoured }

    /// Coloured when standard output is a terminal and NO_COLOR is not set.
    public static var standardOutput: TextStyle {
        let refuses = ProcessInfo.processInfo.environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        return TextStyle(isColoured: isatty(1) == 1 && !refuses)
    }

    public func apply(_ tone: Tone?, to text: String) -> String {
        guard isColoured, let tone else { return text }
        return "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m"
    }
}
