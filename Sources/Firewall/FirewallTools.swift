import Glibc

/// Which firewall commands the host has, and how each is run and its failure explained.
struct FirewallTools: Sendable {
    let runner: any CommandRunner

    /// How long after a command was told to end the daemon may take to hear the same.
    private static let patience = Duration.seconds(1)

    /// The commands that read and write one iptables flavour of one family.
    struct Iptables: Hashable, Sendable {
        var save: String
        var restore: String
    }

    /// Which flavour the host's plain `iptables` is, or `nil` when it has none.
    var defaultIptables: FirewallPlane? {
        guard let path = runner.locate("iptables-restore") else { return nil }
        // Before iptables 1.8 there was only what is called legacy now.
        return path.split(separator: "/").last?.contains("nft") == true ? .iptablesNft : .iptablesLegacy
    }

    var hasNft: Bool { runner.locate("nft") != nil }

    /// The planes that Weft's rules can go to, the preferred one first.
    ///
    /// - Parameter families: what has to be served. A plane that serves all comes before one that serves IPv4 alone.
    /// - Throws: ``FirewallError`` when the host has no command for any of them.
    func candidates(_ preference: FirewallPreference, _ families: [IPFamily]) throws(FirewallError) -> [FirewallPlane] {
        let nft: [FirewallPlane] = hasNft ? [.nftables] : []
        let own = defaultIptables.map { [$0] } ?? []
        let full = own.filter { plane in families.allSatisfy { iptables(plane, $0) != nil } }
        let partial = own.filter { !full.contains($0) }
        let planes = preference == .nftables ? nft + full + partial : full + nft + partial
        if !planes.isEmpty { return planes }
        throw FirewallError(
            cause: "neither iptables-restore nor nft is installed", remedy: "install nftables or iptables",
            kind: .unavailable)
    }

    /// Why `plane` is not what an explicit `preference` asks for; `nil` when it is.
    func compromise(
        _ preference: FirewallPreference, _ plane: FirewallPlane, _ families: [IPFamily], _ failure: FirewallError?
    ) -> FirewallFinding? {
        let other = plane == .nftables ? "nftables" : "iptables"
        switch (preference, plane) {
        case (.nftables, .iptablesNft), (.nftables, .iptablesLegacy):
            return FirewallFinding(
                summary: "EnableNFTables is true, but \(failure?.cause ?? "the nft command is not installed"); "
                    + "the rules are in \(other)",
                remedy: failure.map { "\($0.remedy), and restart weftd" } ?? "install nftables")
        case (.iptables, .nftables):
            let missing = defaultIptables == nil ? "iptables-restore" : "ip6tables-restore"
            return FirewallFinding(
                summary: "EnableNFTables is false, but \(failure?.cause ?? "\(missing) is not installed"); "
                    + "the rules are in \(other)",
                remedy: failure.map { "\($0.remedy), and restart weftd" } ?? "install iptables")
        default: return nil
        }
    }

    /// The commands for an iptables flavour, or `nil` when the host lacks them.
    func iptables(_ plane: FirewallPlane, _ family: IPFamily) -> Iptables? {
        let name = family.iptablesName
        var candidates = ["\(name)-\(plane == .iptablesNft ? "nft" : "legacy")"]
        if plane == defaultIptables { candidates.insert(name, at: 0) }
        return candidates.lazy.map { Iptables(save: "\($0)-save", restore: "\($0)-restore") }
            .first { runner.locate($0.save) != nil && runner.locate($0.restore) != nil }
    }

    func save(_ tools: Iptables) async throws(FirewallError) -> IptablesState {
        IptablesState(parsing: try await run(tools.save, [], input: ""))
    }

    func restore(_ tools: Iptables, _ input: String) async throws(FirewallError) {
        // The lock of iptables-legacy is waited for; iptables-nft has none and takes the option all the same.
        _ = try await run(tools.restore, ["--noflush", "--wait", "5"], input: input)
    }

    /// Runs one transaction or a list of queries.
    ///
    /// - Parameters:
    ///   - echo: have what is added printed, as this nft prints it.
    ///   - handles: have the handle of each rule printed.
    func nft(_ script: String, echo: Bool = false, handles: Bool = false) async throws(FirewallError) -> String {
        let options = (echo ? ["-e"] : []) + (handles ? ["-a"] : [])
        return try await run("nft", ["-n"] + options + ["-f", "-"], input: script)
    }

    private func run(_ tool: String, _ arguments: [String], input: String) async throws(FirewallError) -> String {
        let command = ([tool] + arguments).joined(separator: " ")
        let result: CommandOutput
        do throws(CommandFailure) {
            result = try await runner.run(tool, arguments, input: input)
        } catch {
            throw Self.explain(error, tool, command)
        }
        if result.exitStatus == 0 { return result.output }
        if result.exitStatus == 128 + SIGTERM {
            // systemd ends a service's commands together with the daemon, which may not know of it yet: a moment later
            // this task is cancelled, so that its failure is seen to say nothing about the firewall.
            try? await Task.sleep(for: Self.patience)
        }
        let message = result.error.split(separator: "\n").first { !$0.hasPrefix("#") && !$0.hasPrefix("Warning:") }
        let (remedy, kind) = Self.judge(tool, result)
        throw FirewallError(
            cause: "\(command) failed with status \(result.exitStatus): \(message ?? "no message")",
            remedy: remedy, kind: kind)
    }

    private static func explain(_ failure: CommandFailure, _ tool: String, _ command: String) -> FirewallError {
        switch failure {
        case .notFound:
            FirewallError(
                cause: "\(tool) is not installed", remedy: "install \(tool == "nft" ? "nftables" : "iptables")",
                kind: .unavailable)
        case .timedOut(let limit):
            FirewallError(
                cause: "\(command) did not end within \(limit)",
                remedy: "another program may hold the firewall's lock; it is tried again")
        case .notStarted(let reason):
            FirewallError(cause: "\(command) could not be started: \(reason)", remedy: "it is tried again")
        }
    }

    private static func judge(_ tool: String, _ result: CommandOutput) -> (remedy: String, kind: FirewallError.Kind) {
        let text = result.error.lowercased()
        func says(_ phrases: String...) -> Bool { phrases.contains { text.contains($0) } }
        if says("permission denied", "operation not permitted", "must be root") {
            return ("run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW", .other)
        }
        // nft shows the line that it cannot process, so the word alone says nothing there.
        let isIgnorant = tool == "nft" ? says("syntax error") : says("unknown option", "unrecognized option")
        if isIgnorant, says("random-fully", "fully-random") {
            return ("use iptables 1.6.2 or newer, or set --ip-masq-fully-random-disable", .noRandomFully)
        }
        if says("is incompatible", "use 'nft' tool") {
            return ("move the rules written with nft to a table of another name, or set EnableNFTables to true", .other)
        }
        let isUnavailable = says(
            "not supported", "can't initialize", "failed to initialize", "insmod", "modprobe", "missing kernel module",
            "unknown symbol")
        if isUnavailable { return ("load the kernel modules \(modules(tool))", .unavailable) }
        // xtables exits with 4, RESOURCE_PROBLEM, when another program keeps the lock or changed the table meanwhile.
        if says("xtables lock", "resource temporarily unavailable") {
            return ("another program is changing the firewall; it is tried again", .other)
        }
        if says("no such file or directory", "no chain/target/match", "does not exist") {
            return ("load the kernel modules \(modules(tool))", .perhapsUnavailable)
        }
        if result.exitStatus == 4 { return ("another program is changing the firewall; it is tried again", .other) }
        return ("run the command by hand to see what it refuses", .other)
    }

    private static func modules(_ tool: String) -> String {
        let isNft = tool == "nft" || tool.contains("-nft")
        if tool.hasPrefix("ip6tables") {
            return isNft
                ? "nf_tables, nft_chain_nat, nft_masq and nft_compat"
                : "ip6table_filter, ip6table_nat, xt_MASQUERADE, xt_mark and xt_comment, or nf_tables and nft_compat"
        }
        return isNft
            ? "nf_tables, nft_chain_nat, nft_masq and nft_compat"
            : "iptable_filter, iptable_nat, xt_MASQUERADE, xt_mark and xt_comment, or nf_tables and nft_compat"
    }
}
