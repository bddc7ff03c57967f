/// flannel's command line: Go's flag package, with a variable for each flag.
///
/// swift-argument-parser knows neither `-flag=value` with one dash, nor `--flag=false`, nor variables, all of which
/// the unit files of running clusters use.
public enum DaemonCommandLine {
    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - environment: FLANNELD_ variables count where no flag says otherwise.
    /// - Throws: ``ConfigurationError`` naming the flag, the value and what is allowed.
    public static func parse(
        _ arguments: [String], environment: [String: String]
    ) throws(ConfigurationError) -> DaemonConfiguration {
        var configuration = DaemonConfiguration()
        let given = try split(arguments)
        let named = Set(given.map(\.flag.name))
        for flag in Flag.all where flag.hasVariable && !named.contains(flag.name) {
            // Environment files carry empty variables for what is not set, and flannel takes them so.
            guard let value = environment[flag.variable], !value.isEmpty else { continue }
            try set(flag, value, shown: flag.variable, in: &configuration)
        }
        for (flag, value) in given {
            try set(flag, value, shown: "--\(flag.name)", in: &configuration)
        }
        if (configuration.etcdCertificateFile == nil) != (configuration.etcdKeyFile == nil) {
            throw ConfigurationError("--etcd-certfile and --etcd-keyfile go together; one of them is missing")
        }
        return configuration
    }

    private static func split(_ arguments: [String]) throws(ConfigurationError) -> [(flag: Flag, value: String?)] {
        var given: [(flag: Flag, value: String?)] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-"), argument != "-", argument != "--" else {
                throw ConfigurationError("\"\(argument)\" is no flag; see --help")
            }
            let text = argument.drop { $0 == "-" }
            guard argument.count - text.count <= 2 else {
                throw ConfigurationError("\"\(argument)\" has too many dashes")
            }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts.first ?? "")
            guard let flag = Flag.all.first(where: { $0.name == name }) else {
                throw ConfigurationError("there is no flag --\(name)\(suggestion(for: name)); see --help")
            }
            var value = parts.count > 1 ? String(parts[1]) : nil
            if case .text = flag.value, value == nil {
                guard let next = rest.popFirst() else { throw ConfigurationError("--\(name) needs a value") }
                value = next
            }
            given.append((flag, value))
        }
        return given
    }

    private static func set(
        _ flag: Flag, _ value: String?, shown: String, in configuration: inout DaemonConfiguration
    ) throws(ConfigurationError) {
        switch flag.value {
        case .boolean(let assign):
            guard let parsed = boolean(value ?? "true") else {
                throw ConfigurationError("\(shown) is \"\(value ?? "")\"; allowed: true or false")
            }
            assign(&configuration, parsed)
        case .text(_, let assign):
            let value = value ?? ""
            if let allowed = assign(&configuration, value) {
                let shownValue = flag.name == "etcd-password" ? "(hidden)" : value
                throw ConfigurationError("\(shown) is \"\(shownValue)\"; allowed: \(allowed)")
            }
        }
    }

    /// What Go's `strconv.ParseBool` takes.
    private static func boolean(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "TRUE", "true", "True": true
        case "0", "f", "F", "FALSE", "false", "False": false
        default: nil
        }
    }

    private static func suggestion(for name: String) -> String {
        let near = Flag.all.map(\.name).filter { $0.count > 2 }
            .map { ($0, distance(name, $0)) }.min { $0.1 < $1.1 }
        guard let (candidate, distance) = near, distance <= 3 else { return "" }
        return ", do you mean --\(candidate)"
    }

    /// Levenshtein's distance.
    private static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let cost = min(row[j] + 1, row[j + 1] + 1, diagonal + (a == b ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[right.count]
    }

    /// The text of `--help`.
    public static var help: String {
        var text = """
            weftd gives every container on every host an address that every other container can reach.
            It takes flanneld's place: same flags, registry and packets.

            usage: weftd [flags]

            Flags take one dash or two, and a value after = or as the next word. Each has a variable:
            FLANNELD_ and the flag's name in capitals, dashes as underscores; a flag wins over its variable.


            """
        for flag in Flag.all where flag.name != "h" {
            var left = "  --\(flag.name)"
            if case .text(let placeholder, _) = flag.value { left += " \(placeholder)" }
            let padding =
                left.count < 38
                ? String(repeating: " ", count: 38 - left.count) : "\n" + String(repeating: " ", count: 38)
            // A long default goes on a line of its own.
            let gap = flag.help.count + flag.defaultText.count > 60 ? "\n" + String(repeating: " ", count: 38) : " "
            let end = flag.defaultText.isEmpty ? "" : "\(gap)(\(flag.defaultText))"
            text += left + padding + flag.help + end + "\n"
        }
        return text
    }
}
