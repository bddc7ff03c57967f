import Synchronization

@testable import Firewall

/// A host whose firewall commands act on values: enough of iptables-save, iptables-restore and nft for the keeper.
final class FakeHost: CommandRunner {
    struct Call: Hashable {
        var tool: String
        var input: String
    }

    struct State {
        var paths: [String: String] = [:]
        /// By `iptables-nft`, `ip6tables-legacy`, …
        var iptables: [String: IptablesState] = [:]
        var nftables: [NftablesListing.TableKey: [String: NftablesListing.Chain]] = [:]
        var calls: [Call] = []
        /// Answers to give instead of acting, each once, by tool.
        var failures: [String: [CommandOutput]] = [:]
        /// What others do just before a command writes, each once, by tool.
        var interludes: [String: [@Sendable (inout State) -> Void]] = [:]
        /// How a version of nft that prints otherwise prints a rule.
        var printed: [String: String] = [:]
        /// What the firewall was after each command.
        var history: [Rules] = []
    }

    struct Rules {
        var iptables: [String: IptablesState]
        var nftables: [NftablesListing.TableKey: [String: NftablesListing.Chain]]
    }

    let state = Mutex(State())

    init(tools: [String]) {
        state.withLock { state in
            for tool in tools {
                let binary =
                    tool.contains("nft-") || tool == "nft" ? "xtables-nft-multi" : "xtables-legacy-multi"
                state.paths[tool] = "/usr/sbin/\(binary)"
            }
        }
    }

    /// A host as Debian and its relatives set it up: nft and both flavours of iptables, of which `flavour` is the
    /// default.
    static func debian(_ flavour: String = "nft") -> FakeHost {
        var tools = ["nft"]
        for name in ["iptables", "ip6tables"] {
            for kind in ["nft", "legacy"] { tools += ["\(name)-\(kind)-save", "\(name)-\(kind)-restore"] }
        }
        let host = FakeHost(tools: tools)
        for name in ["iptables", "ip6tables"] {
            for command in ["save", "restore"] {
                host.state.withLock { $0.paths["\(name)-\(command)"] = "/usr/sbin/xtables-\(flavour)-multi" }
            }
        }
        return host
    }

    func locate(_ tool: String) -> String? { state.withLock { $0.paths[tool] } }

    func run(_ tool: String, _ arguments: [String], input: String) async throws(CommandFailure) -> CommandOutput {
        let result: Result<CommandOutput, CommandFailure> = state.withLock { state in
            state.calls.append(Call(tool: tool, input: input))
            defer { state.history.append(Rules(iptables: state.iptables, nftables: state.nftables)) }
            guard let path = state.paths[tool] else { return .failure(.notFound) }
            if var queue = state.failures[tool], !queue.isEmpty {
                let answer = queue.removeFirst()
                state.failures[tool] = queue
                return .success(answer)
            }
            if tool != "nft" || arguments.contains("-e"), var queue = state.interludes[tool], !queue.isEmpty {
                let interlude = queue.removeFirst()
                state.interludes[tool] = queue
                interlude(&state)
            }
            if tool == "nft" { return .success(Self.nft(&state, input, arguments)) }
            let family = tool.hasPrefix("ip6") ? "ip6tables" : "iptables"
            let key = "\(family)-\(path.contains("nft") ? "nft" : "legacy")"
            if tool.hasSuffix("-save") {
                return .success(CommandOutput(output: state.iptables[key, default: .init()].saved))
            }
            let problem = state.iptables[key, default: .init()].restore(input)
            return .success(CommandOutput(exitStatus: problem == nil ? 0 : 1, error: problem ?? ""))
        }
        return try result.get()
    }

    private static func nft(_ state: inout State, _ input: String, _ arguments: [String]) -> CommandOutput {
        var output = ""
        if arguments.contains("-e") {
            output =
                input.split(separator: "\n").filter { $0.hasPrefix("add ") || $0.hasPrefix("insert ") }.map { line in
                    let words = line.split(separator: " ").map(String.init)
                    guard words[1] == "rule" else { return "\(line)\n" }
                    let rule = words[5...].joined(separator: " ")
                    return "\(words[..<5].joined(separator: " ")) handle 3 \(state.printed[rule] ?? rule)\n"
                }.joined() + "# new generation 3 by process 7 (nft)\n"
        }
        var tables = state.nftables
        // As if every listing numbered the rules anew, from 1 on.
        var numbers = tables.mapValues { $0.mapValues { Array($0.rules.indices.map { $0 + 1 }) } }
        for line in input.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            let key = NftablesListing.TableKey(
                family: words.count > 2 ? words[2] : "", name: words.count > 3 ? words[3] : "")
            switch words.prefix(2) {
            case ["add", "table"]: tables[key] = tables[key] ?? [:]
            case ["delete", "table"]: tables[key] = nil
            case ["create", "chain"] where tables[key]?[words[4]] != nil:
                return CommandOutput(exitStatus: 1, error: "Error: Could not process rule: File exists\n")
            case ["flush", "chain"]: tables[key]?[words[4]]?.rules = []
            case ["delete", "chain"]: tables[key]?[words[4]] = nil
            case ["insert", "rule"]:
                tables[key]?[words[4]]?.rules.insert(words[5...].joined(separator: " "), at: 0)
                numbers[key]?[words[4]]?.insert(0, at: 0)
            case ["delete", "rule"]:
                guard let index = Int(words[6]).flatMap({ numbers[key]?[words[4]]?.firstIndex(of: $0) }) else {
                    return CommandOutput(exitStatus: 1, error: "Error: Could not process rule: No such file\n")
                }
                numbers[key]?[words[4]]?.remove(at: index)
                tables[key]?[words[4]]?.rules.remove(at: index)
            case ["create", "chain"]:
                let hook = line.split(separator: "{")[1].dropLast().split(separator: " ").joined(separator: " ")
                tables[key]?[words[4]] = .init(hook: hook)
            case ["add", "rule"]: tables[key]?[words[4]]?.rules.append(words[5...].joined(separator: " "))
            case ["list", "chains"]:
                for (key, chains) in state.nftables {
                    output += text(key, chains.mapValues { .init(hook: $0.hook) }, [:])
                }
                for (command, tables) in state.iptables where command.hasSuffix("-nft") {
                    let family = command.hasPrefix("ip6") ? "ip6" : "ip"
                    for (table, chains) in tables.tables {
                        let listed = chains.map { name, chain in
                            (name, NftablesListing.Chain(hook: hook(table, name, chain.policy)))
                        }
                        output += text(
                            .init(family: family, name: table), Dictionary(uniqueKeysWithValues: listed), [:])
                    }
                }
            case ["list", "table"], ["list", "chain"]:
                guard let chains = state.nftables[key] else {
                    return CommandOutput(exitStatus: 1, error: "Error: No such file or directory\n")
                }
                output += text(key, chains, state.printed, handles: arguments.contains("-a"))
            default: return CommandOutput(exitStatus: 1, error: "Error: syntax error: \(line)\n")
            }
        }
        state.nftables = tables
        return CommandOutput(output: output)
    }

    private static func hook(_ table: String, _ chain: String, _ policy: String?) -> String? {
        guard let policy else { return nil }
        return "type \(table == "nat" ? "nat" : "filter") hook \(chain.lowercased()) priority 0; "
            + "policy \(policy.lowercased());"
    }

    private static func text(
        _ key: NftablesListing.TableKey, _ chains: [String: NftablesListing.Chain], _ printed: [String: String],
        handles: Bool = false
    ) -> String {
        let body = chains.sorted { $0.key < $1.key }.map { name, chain in
            let rules = chain.rules.enumerated().map { index, rule in
                (printed[rule] ?? rule) + (handles ? " # handle \(index + 1)" : "")
            }
            let lines = ([chain.hook].compactMap { $0 } + rules).map { "\t\t\($0)\n" }
            return "\tchain \(name) {\n\(lines.joined())\t}\n"
        }
        return "table \(key.family) \(key.name) {\n\(body.joined())}\n"
    }

    var calls: [Call] { state.withLock { $0.calls } }
    var tools: [String] { calls.map(\.tool) }
    func forgetCalls() { state.withLock { $0.calls = [] } }

    func iptables(_ key: String) -> IptablesState { state.withLock { $0.iptables[key, default: .init()] } }
    func setIptables(_ key: String, _ text: String) {
        state.withLock { $0.iptables[key] = IptablesState(parsing: text) }
    }
    func restore(_ key: String, _ text: String) {
        state.withLock { _ = $0.iptables[key, default: .init()].restore(text) }
    }
}

extension IptablesState {
    /// As `iptables-save` prints it.
    var saved: String {
        tables.sorted { $0.key < $1.key }.map { table, chains in
            let sorted = chains.sorted { $0.key < $1.key }
            let heads = sorted.map { ":\($0.key) \($0.value.policy ?? "-") [0:0]\n" }
            let rules = sorted.flatMap { name, chain in chain.rules.map { "\(Self.line(["-A", name] + $0))\n" } }
            return "*\(table)\n\(heads.joined())\(rules.joined())COMMIT\n"
        }.joined()
    }

    /// Acts on `iptables-restore --noflush` input; returns the message of the first failure, and changes nothing then.
    mutating func restore(_ input: String) -> String? {
        var next = self
        var table = ""
        for line in input.split(separator: "\n") {
            let words = Self.words(line)
            if line.hasPrefix("*") {
                table = String(line.dropFirst())
                let base = table == "nat" ? ["PREROUTING", "POSTROUTING"] : ["INPUT", "FORWARD"]
                for chain in base where next.tables[table]?[chain] == nil {
                    next.tables[table, default: [:]][chain] = Chain(policy: "ACCEPT")
                }
                continue
            }
            if line == "COMMIT" { continue }
            let name = line.hasPrefix(":") ? String(words[0].dropFirst()) : words[1]
            switch words[0] {
            case "-N":
                guard next.tables[table]?[name] == nil else { return "iptables-restore: Chain already exists." }
                next.tables[table]?[name] = Chain()
            case "-A": next.tables[table]?[name]?.rules.append(Array(words[2...]))
            case "-I":
                guard
                    let number = Int(words[2]), let count = next.tables[table]?[name]?.rules.count, number <= count + 1
                else { return "iptables-restore: line failed: index of insertion too big" }
                next.tables[table]?[name]?.rules.insert(Array(words[3...]), at: number - 1)
            case "-D":
                guard let index = next.tables[table]?[name]?.rules.firstIndex(of: Array(words[2...])) else {
                    return "iptables-restore: line failed: bad rule"
                }
                next.tables[table]?[name]?.rules.remove(at: index)
            case "-X":
                guard next.tables[table]?[name]?.rules.isEmpty == true else {
                    return "iptables-restore: line failed: Directory not empty"
                }
                next.tables[table]?[name] = nil
            default:
                guard words[0].hasPrefix(":") else { return "iptables-restore: line failed: \(line)" }
                next.tables[table]?[name] = Chain(policy: words[1] == "-" ? nil : words[1])
            }
        }
        self = next
        return nil
    }
}
