/// Tables and chains as `nft -n list …` prints them.
struct NftablesListing: Hashable, Sendable {
    struct TableKey: Hashable, Sendable {
        /// `ip`, `ip6`, `inet`, …
        var family: String
        var name: String
    }

    struct Chain: Hashable, Sendable {
        /// `type filter hook forward priority 0; policy accept;`, or `nil` for a chain that is only jumped to.
        var hook: String?
        /// Each rule with its spacing and number formats made uniform.
        var rules: [String] = []
        /// Each rule's handle, where the listing has them (`nft -a`).
        var handles: [UInt64] = []

        /// Whether the chain sees forwarded packets and can drop them.
        var isForwardFilter: Bool { hook.map { $0.hasPrefix("type filter hook forward ") } ?? false }
        var dropsByPolicy: Bool { hook?.contains("policy drop;") ?? false }
    }

    var tables: [TableKey: [String: Chain]] = [:]

    init() {}

    /// Reads tables and chains; sets, maps and other objects in a table are passed over.
    init(parsing text: String) {
        var table: TableKey?
        var chain: String?
        var skippedDepth = 0
        for raw in text.split(separator: "\n") {
            let (line, handle) = Self.splitHandle(Self.uniform(raw))
            if line == "}" {
                if skippedDepth > 0 {
                    skippedDepth -= 1
                } else if chain != nil {
                    chain = nil
                } else {
                    table = nil
                }
                continue
            }
            guard let key = table else {
                let words = line.split(separator: " ")
                if words.count >= 4, words[0] == "table", line.hasSuffix("{") {
                    let key = TableKey(family: String(words[1]), name: String(words[2]))
                    tables[key] = tables[key] ?? [:]
                    table = key
                }
                continue
            }
            if let name = chain {
                if line.hasPrefix("type "), line.contains(" hook ") {
                    tables[key]?[name]?.hook = line
                } else if !line.isEmpty, !line.hasPrefix("#"), !line.hasPrefix("comment ") {
                    tables[key]?[name]?.rules.append(line)
                    if let handle { tables[key]?[name]?.handles.append(handle) }
                }
            } else if line.hasPrefix("chain "), line.hasSuffix(" {") {
                let name = String(line.dropFirst("chain ".count).dropLast(" {".count))
                tables[key]?[name] = Chain()
                chain = name
            } else if line.hasSuffix("{") {
                skippedDepth += 1
            }
        }
    }

    /// The rules in what `nft -n -e` prints of a transaction, in its order: a line for each table, chain and rule that was
    /// added.
    static func rules(inEcho text: String) -> [String] {
        text.split(separator: "\n").compactMap { raw in
            let words = uniform(raw).split(separator: " ").map(String.init)
            guard words.count > 5, words[0] == "add" || words[0] == "insert", words[1] == "rule" else { return nil }
            // A rule's place among the others, where there are others.
            let start = ["handle", "position"].contains(words[5]) ? 7 : 5
            return words.dropFirst(start).joined(separator: " ")
        }
    }

    /// A line without the handle that `nft -a` puts behind it.
    private static func splitHandle(_ line: String) -> (String, UInt64?) {
        let words = line.split(separator: " ")
        guard words.count > 3, words[words.count - 3] == "#", words[words.count - 2] == "handle",
            let handle = words.last.flatMap({ UInt64($0) })
        else { return (line, nil) }
        return (words.dropLast(3).joined(separator: " "), handle)
    }

    /// The line without extra spaces and counters, hexadecimal numbers without leading zeros, the names of the
    /// priorities that Weft uses as numbers: what differs between versions of nft.
    static func uniform(_ line: Substring) -> String {
        var words = line.split(omittingEmptySubsequences: true) { $0 == " " || $0 == "\t" }.map { String($0) }
        if let index = words.firstIndex(of: "counter"), index + 4 < words.count, words[index + 1] == "packets" {
            words.removeSubrange(index...(index + 4))
        }
        for index in words.indices {
            if words[index].hasPrefix("0x"), let value = UInt32(words[index].dropFirst(2), radix: 16) {
                words[index] = "0x" + String(value, radix: 16)
            } else if words[index] == "and" {
                words[index] = "&"
            } else if words[index] == "filter;" {
                words[index] = "0;"
            } else if words[index] == "srcnat;" {
                words[index] = "100;"
            }
        }
        return words.joined(separator: " ")
    }
}
