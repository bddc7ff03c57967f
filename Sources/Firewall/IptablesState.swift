/// The rules of one iptables flavour and family, as `iptables-save` prints them.
struct IptablesState: Hashable, Sendable {
    struct Chain: Hashable, Sendable {
        /// `ACCEPT` or `DROP` for a built-in chain, `nil` for a user's.
        var policy: String?
        /// Each rule as its words without `-A CHAIN`, in order.
        var rules: [[String]] = []
    }

    /// By table, then by chain.
    var tables: [String: [String: Chain]] = [:]
    /// Tables that hold rules of another tool's, which the command can neither print nor change.
    var incompatibleTables: [String] = []

    init() {}

    /// Reads the output of `iptables-save`; lines that are no chain or rule are passed over.
    init(parsing text: String) {
        var table: String?
        for line in text.split(separator: "\n") {
            switch line.first {
            case "*":
                table = String(line.dropFirst())
                if let table { tables[table] = tables[table] ?? [:] }
            case ":":
                guard let table else { continue }
                let words = line.dropFirst().split(separator: " ")
                guard words.count >= 2 else { continue }
                let policy = words[1] == "-" ? nil : String(words[1])
                tables[table]?[String(words[0]), default: Chain()].policy = policy
            case "-":
                guard let table else { continue }
                let words = Self.words(line)
                guard words.count > 2, words[0] == "-A" else { continue }
                tables[table]?[words[1], default: Chain()].rules.append(Array(words[2...]))
            case "#":
                // iptables-nft: "# Table `filter' is incompatible, use 'nft' tool."
                if line.contains("is incompatible"), let open = line.firstIndex(of: "`") {
                    incompatibleTables.append(String(line[line.index(after: open)...].prefix { $0 != "'" }))
                }
            default:
                continue
            }
        }
    }

    func chain(_ table: String, _ chain: String) -> Chain? { tables[table]?[chain] }

    /// Splits a rule into words; a word in double quotes may hold spaces, and a backslash keeps the next character.
    static func words(_ line: some StringProtocol) -> [String] {
        var words: [String] = []
        var word = ""
        var started = false
        var quoted = false
        var escaped = false
        for character in line {
            if escaped {
                word.append(character)
                escaped = false
            } else if character == "\\" && quoted {
                escaped = true
            } else if character == "\"" {
                quoted.toggle()
                started = true
            } else if character == " " && !quoted {
                if started { words.append(word) }
                word = ""
                started = false
            } else {
                word.append(character)
                started = true
            }
        }
        if started { words.append(word) }
        return words
    }

    /// The reverse of ``words(_:)``, for `iptables-restore`.
    static func line(_ words: [String]) -> String {
        words.map { word in
            let isPlain = !word.isEmpty && !word.contains { $0 == " " || $0 == "\"" || $0 == "\\" || $0 == "'" }
            if isPlain { return word }
            let escaped = word.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }
            return "\"\(String(escaped))\""
        }.joined(separator: " ")
    }

    /// Where a rule's words send a packet: the word after `-j` or `-g`.
    static func target(_ rule: [String]) -> String? {
        guard let index = rule.lastIndex(where: { $0 == "-j" || $0 == "-g" }), index + 1 < rule.count else {
            return nil
        }
        return rule[index + 1]
    }
}
