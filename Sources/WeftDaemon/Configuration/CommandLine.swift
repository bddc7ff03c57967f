/// flannel's command line: Go's flag package, with a variable for each flag.
///
/// swift-argument-parser knows neither `-flag=value` with one dash, nor `--flag=false`, nor variables, all of which
/// the unit files of running clusters use.
public enum DaemonCommandLine {
    private struct Given {
        var flag: Flag
        var value: String?
    }

    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - environment: FLANNELD_ variables count where no flag says otherwise.
    /// - Throws: ``ConfigurationError`` naming the flag, the value and what is allowed.
    public static func parse(
        _ arguments: [String], environment: [String: String]
    ) throws(ConfigurationError) -> DaemonConfiguration {
        var configuration = DaemonConfiguration()
        guard let given = try split(arguments, &configuration) else {
            configuration.mode = .help
            return configuration
        }
        let named = Set(given.map(\.flag.name))
        for flag in Flag.all where flag.hasVariable && !named.contains(flag.name) {
            // Environment files carry empty variables for what is not set, and flannel takes them so.
            guard let value = environment[flag.variable], !value.isEmpty else { continue }
            try set(Given(flag: flag, value: value), shown: flag.variable, in: &configuration)
        }
        for flag in given { try set(flag, shown: "--\(flag.flag.name)", in: &configuration) }
        noteUnused(environment, in: &configuration)
        if (configuration.etcdCertificateFile == nil) != (configuration.etcdKeyFile == nil) {
            throw ConfigurationError("--etcd-certfile and --etcd-keyfile go together; one of them is missing")
        }
        return configuration
    }

    /// Takes the words apart as Go's `FlagSet.Parse` does.
    ///
    /// - Returns: `nil` when help is asked for, whatever else there is.
    private static func split(
        _ arguments: [String], _ configuration: inout DaemonConfiguration
    ) throws(ConfigurationError) -> [Given]? {
        var given: [Given] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                for word in rest { configuration.note(UnusedSetting(name: "\"\(word)\"", reason: "it comes after --")) }
                break
            }
            guard argument.hasPrefix("-"), argument != "-" else {
                try noteWord(argument, after: given.last, rest, &configuration)
                break
            }
            let text = argument.dropFirst(argument.hasPrefix("--") ? 2 : 1)
            guard let first = text.first, first != "-" else {
                throw ConfigurationError("\"\(argument)\" has too many dashes")
            }
            guard first != "=" else { throw ConfigurationError("\"\(argument)\" has no flag's name; see --help") }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0] == "help" || parts[0] == "h" { return nil }
            guard let flag = Flag.named(parts[0]) else {
                let near = Suggestion.nearest(to: String(parts[0]), in: Flag.all.map(\.name))
                let hint = near.map { ", do you mean --\($0)" } ?? ""
                throw ConfigurationError("there is no flag --\(parts[0])\(hint); see --help")
            }
            var value = parts.count > 1 ? String(parts[1]) : nil
            if case .text = flag.value, value == nil {
                guard let next = rest.popFirst() else { throw ConfigurationError("--\(flag.name) needs a value") }
                value = next
            }
            given.append(Given(flag: flag, value: value))
        }
        return given
    }

    /// flannel stops at the first word that is no flag and says nothing of what it leaves unread. Two harmless cases run in
    /// clusters and go on running: the value of a boolean flag as the last word, and empty words at the end, which `${UNSET}`
    /// of a unit file makes.
    private static func noteWord(
        _ word: String, after last: Given?, _ rest: ArraySlice<String>, _ configuration: inout DaemonConfiguration
    ) throws(ConfigurationError) {
        let isLast = rest.allSatisfy(\.isEmpty)
        if word.isEmpty, isLast {
            return configuration.note(
                UnusedSetting(name: "\"\"", reason: "it is an empty word, maybe an unset variable's"))
        }
        guard let last, case .boolean = last.flag.value, last.value == nil, GoSyntax.boolean(word) != nil else {
            throw ConfigurationError("\"\(word)\" is no flag; see --help")
        }
        let reason = "a boolean flag takes its value after =: --\(last.flag.name)=\(word)"
        guard isLast else {
            throw ConfigurationError("\"\(word)\" is no flag, and flannel leaves all after it unread; \(reason)")
        }
        configuration.note(UnusedSetting(name: "\"\(word)\"", reason: "\(reason); as it stands it is true"))
    }

    private static func set(
        _ given: Given, shown: String, in configuration: inout DaemonConfiguration
    ) throws(ConfigurationError) {
        let flag = given.flag
        let shownValue = flag.name == "etcd-password" ? "(hidden)" : given.value ?? "true"
        var allowed: String?
        switch flag.value {
        case .boolean(let assign):
            if let value = GoSyntax.boolean(given.value ?? "true") {
                allowed = assign(&configuration, value)
            } else {
                allowed = "true or false"
            }
        case .text(_, let assign):
            allowed = assign(&configuration, given.value ?? "")
        }
        if let allowed { throw ConfigurationError("\(shown) is \"\(shownValue)\"; allowed: \(allowed)") }
        if case .unused(let reason) = flag.standing { configuration.note(UnusedSetting(name: shown, reason: reason)) }
    }

    private static func noteUnused(_ environment: [String: String], in configuration: inout DaemonConfiguration) {
        for variable in OtherVariable.all where environment[variable.name].map({ !$0.isEmpty }) ?? false {
            configuration.note(UnusedSetting(name: variable.name, reason: variable.reason))
        }
        let known = Flag.all.filter(\.hasVariable).map(\.variable)
        let prefix = Flag.variablePrefix
        for (name, value) in environment.sorted(by: { $0.key < $1.key })
        where name.hasPrefix(prefix) && !value.isEmpty && !known.contains(name) {
            let near = Suggestion.nearest(
                to: String(name.dropFirst(prefix.count)), in: known.map { String($0.dropFirst(prefix.count)) })
            let hint = near.map { "; do you mean \(prefix)\($0)" } ?? ""
            configuration.note(UnusedSetting(name: name, reason: "no flag has this variable\(hint)"))
        }
    }
}
