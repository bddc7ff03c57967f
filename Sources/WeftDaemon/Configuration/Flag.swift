/// A flag of flannel's command line, as data.
struct Flag: Sendable {
    enum Value: Sendable {
        /// `-name` is true; `-name=false` as Go's flag package. Returns what is allowed when the value isn't.
        case boolean(@Sendable (inout DaemonConfiguration, Bool) -> String?)
        /// `-name value` or `-name=value`. Returns what is allowed when the value isn't.
        case text(placeholder: String, @Sendable (inout DaemonConfiguration, String) -> String?)
    }

    /// What comes of the flag.
    enum Standing: Hashable, Sendable {
        case works
        /// Works for some values; which, and what comes of the others.
        case limited(String)
        /// Accepted; the reason for its having no effect is logged once.
        case unused(reason: String)
    }

    let name: String
    /// For `--help`, a line.
    let help: String
    /// What applies without the flag, as the help shows it.
    let defaultText: String
    /// The first release of flannel from v0.11 on that has it; `nil` for a flag that flannel does not have.
    let since: String?
    let standing: Standing
    /// Whether there is a variable for it.
    let hasVariable: Bool
    let value: Value

    init(
        _ name: String, _ help: String, default defaultText: String = "", since: String? = "0.11",
        standing: Standing = .works, variable: Bool = true, _ value: Value
    ) {
        self.name = name
        self.help = help
        self.defaultText = defaultText
        self.since = since
        self.standing = standing
        hasVariable = variable
        self.value = value
    }

    /// `FLANNELD_ETCD_ENDPOINTS` for `etcd-endpoints`.
    var variable: String { Self.variablePrefix + name.uppercased().split(separator: "-").joined(separator: "_") }

    static let variablePrefix = "FLANNELD_"
}

extension Flag {
    /// The flags of flanneld v0.11 to v0.28, and Weft's own, in the order of `--help`. Names, defaults and meanings are
    /// flannel's.
    static let all: [Flag] = registry + host + dataPlane + operation + kubernetes + logging

    static func named(_ name: Substring) -> Flag? { all.first { $0.name == name } }
}

extension Flag.Value {
    static func setting(_ path: WritableKeyPath<DaemonConfiguration, Bool> & Sendable) -> Self {
        .boolean { configuration, value in
            configuration[keyPath: path] = value
            return nil
        }
    }

    /// A mode of the process: `false` leaves what another flag said.
    static func mode(_ mode: DaemonConfiguration.Mode) -> Self {
        .boolean { configuration, value in
            if value { configuration.mode = mode }
            return nil
        }
    }

    /// As Go's `flag.IntVar`.
    static func integer(
        _ path: WritableKeyPath<DaemonConfiguration, Int> & Sendable, in range: ClosedRange<Int>, placeholder: String
    ) -> Self {
        .text(placeholder: placeholder) { configuration, value in
            guard let number = GoSyntax.integer(value), range.contains(number) else {
                return "a whole number from \(range.lowerBound) to \(range.upperBound)"
            }
            configuration[keyPath: path] = number
            return nil
        }
    }

    /// A text that is not looked into; empty is as if the flag weren't there, since unit files pass what is not set so.
    static func optional(
        _ path: WritableKeyPath<DaemonConfiguration, String?> & Sendable, placeholder: String = "PATH"
    ) -> Self {
        .text(placeholder: placeholder) { configuration, value in
            configuration[keyPath: path] = value.isEmpty ? nil : value
            return nil
        }
    }

    /// Of a flag without effect.
    static func ignored(placeholder: String) -> Self { .text(placeholder: placeholder) { _, _ in nil } }
}
