extension DaemonCommandLine {
    /// The text of `--help`.
    ///
    /// - Parameter program: as it was called; the first line is flannel's.
    public static func help(program: String = "weftd") -> String {
        var text = """
            Usage: \(program) [OPTION]...
            weftd gives every container on every host an address that every other container can reach.
            It takes flanneld's place: same flags, registry and packets.

            Flags take one dash or two, and a value after = or as the next word; a boolean one only after =.
            Each has a variable: FLANNELD_ and the flag's name in capitals, dashes as underscores; a flag wins
            over its variable, and --iface and --iface-regex may come several times.


            """
        for flag in Flag.all where flag.name != "h" {
            var left = "  --\(flag.name)"
            if case .text(let placeholder, _) = flag.value { left += " \(placeholder)" }
            let padding =
                left.count < 38
                ? String(repeating: " ", count: 38 - left.count) : "\n" + String(repeating: " ", count: 38)
            // A long default goes on a line of its own.
            let gap = flag.help.count + flag.defaultText.count > 56 ? "\n" + String(repeating: " ", count: 38) : " "
            let end = flag.defaultText.isEmpty ? "" : "\(gap)(\(flag.defaultText))"
            text += left + padding + flag.help + end + "\n"
        }
        return text
    }
}
