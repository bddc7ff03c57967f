import Glibc
import Logging
import Synchronization

/// Writes a line an event to standard error: the message, then key=value fields.
///
/// Under journald the line begins with the priority (`<6>`, sd-daemon(3)) and has no time, which the journal has itself.
public struct StandardErrorLog: LogHandler {
    /// Fields of every line; an event's own win.
    public var metadata: Logger.Metadata = [:]
    /// The least level that is written.
    public var logLevel: Logger.Level
    private let label: String
    private let isJournal: Bool

    /// - Parameter isJournal: whether journald reads the lines.
    public init(label: String, level: Logger.Level, isJournal: Bool) {
        self.label = label
        self.logLevel = level
        self.isJournal = isJournal
    }

    /// A field of every line; `nil` takes it out.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the event's line; fields are sorted by name.
    public func log(event: LogEvent) {
        var line = isJournal ? "<\(Self.priority(event.level))>" : "\(Self.timestamp()) \(Self.word(event.level)) "
        Self.append(event.message.description, to: &line)
        var fields = metadata
        if let more = event.metadata { fields.merge(more) { $1 } }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += " \(key)="
            Self.appendValue("\(value)", to: &line)
        }
        line += "\n"
        // One write a line, so that lines of several threads don't mix.
        _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// A message or a value may hold text from outside; a line end in it must not forge a second line.
    private static func append(_ text: String, to line: inout String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += " "
            case let control where control.value < 0x20 || control.value == 0x7f: line += "?"
            default: line.unicodeScalars.append(scalar)
            }
        }
    }

    private static func appendValue(_ text: String, to line: inout String) {
        guard text.isEmpty || text.unicodeScalars.contains(where: { " \"=".unicodeScalars.contains($0) }) else {
            append(text, to: &line)
            return
        }
        line += "\""
        for (index, part) in text.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            if index > 0 { line += "\\\"" }
            append(String(part), to: &line)
        }
        line += "\""
    }

    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }

    private static func word(_ level: Logger.Level) -> String {
        let word = "\(level)".uppercased()
        return word + String(repeating: " ", count: max(0, 8 - word.count))
    }

    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        func digits(_ value: Int, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let date = "\(parts.tm_year + 1900)-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
        let time = "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2))"
        return "\(date)T\(time).\(digits(now.tv_nsec / 1_000_000, 3))Z"
    }
}
