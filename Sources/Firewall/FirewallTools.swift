/// Which firewall commands the host has, and how each is run and its failure explained.
struct FirewallTools: Sendable {
    let runner: any CommandRunner

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

    /// The plane for Weft's rules.
    ///
    /// - Throws: ``FirewallError`` when the host lacks the command that `preference` needs.
    func choosePlane(_ preference: FirewallPreference) throws(FirewallError) -> FirewallPlane {
        switch preference {
        case .nftables:
            if hasNft { return .nftables }
            throw FirewallError(
                cause: "the nft command is not installed, and EnableNFTables is true",
                remedy: "install nftables, or set EnableNFTables to false")
        case .iptables:
            if let plane = defaultIptables { return plane }
            throw FirewallError(
                cause: "the iptables-restore command is not installed, and EnableNFTables is false",
                remedy: "install iptables, or set EnableNFTables to true")
        case .automatic:
            if let plane = defaultIptables { return plane }
            if hasNft { return .nftables }
            throw FirewallError(
                cause: "neither iptables-restore nor nft is installed", remedy: "install nftables or iptables")
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
    func nft(_ script: String) async throws(FirewallError) -> String {
        try await run("nft", ["-n", "-f", "-"], input: script)
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
        let message = result.error.split(separator: "\n").first { !$0.hasPrefix("#") && !$0.hasPrefix("Warning:") }
        throw FirewallError(
            cause: "\(command) failed with status \(result.exitStatus): \(message ?? "no message")",
            remedy: Self.remedy(tool, result))
    }

    private static func explain(_ failure: CommandFailure, _ tool: String, _ command: String) -> FirewallError {
        switch failure {
        case .notFound:
            FirewallError(
                cause: "\(tool) is not installed", remedy: "install \(tool == "nft" ? "nftables" : "iptables")")
        case .timedOut(let limit):
            FirewallError(
                cause: "\(command) did not end within \(limit)",
                remedy: "another program may hold the firewall's lock; it is tried again")
        case .notStarted(let reason):
            FirewallError(cause: "\(command) could not be started: \(reason)", remedy: "it is tried again")
        }
    }

    private static func remedy(_ tool: String, _ result: CommandOutput) -> String {
        let text = result.error.lowercased()
        func says(_ phrases: String...) -> Bool { phrases.contains { text.contains($0) } }
        if says("permission denied", "operation not permitted", "must be root") {
            return "run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW"
        }
        // xtables exits with 4, RESOURCE_PROBLEM, when another program keeps the lock or changed the table meanwhile.
        if result.exitStatus == 4 || says("xtables lock", "resource temporarily unavailable") {
            return "another program is changing the firewall; it is tried again"
        }
        if says("random-fully", "fully-random") {
            return "use iptables 1.6.2 or newer, or set --ip-masq-fully-random-disable"
        }
        if says("is incompatible", "use 'nft' tool") {
            return "move the rules written with nft to a table of another name, or set EnableNFTables to true"
        }
        let isAboutModules = says(
            "no such file or directory", "not supported", "can't initialize", "does not exist", "modprobe",
            "no chain/target/match", "missing kernel module", "unknown symbol")
        if isAboutModules {
            let modules =
                tool == "nft" || tool.contains("-nft")
                ? "nf_tables, nft_chain_nat, nft_masq and nft_compat"
                : "iptable_filter, iptable_nat, xt_MASQUERADE, xt_mark and xt_comment, or nf_tables and nft_compat"
            return "load the kernel modules \(modules)"
        }
        return "run the command by hand to see what it refuses"
    }
}
