import IPNetwork

extension Flag {
    /// Running and watching the daemon.
    static let operation: [Flag] = [
        Flag(
            "healthz-ip", "address of the health server", default: "0.0.0.0",
            .text(placeholder: "IP") { configuration, value in
                switch value {
                // As Go's net.Listen.
                case "": configuration.healthAddress = .v4(.any)
                case "localhost": configuration.healthAddress = .v4(IPv4Address(127, 0, 0, 1))
                default:
                    guard let address = IPAddress(value) else { return "an IP address" }
                    configuration.healthAddress = address
                }
                return nil
            }),
        Flag(
            "healthz-port", "port of the health server; 0 is none", default: "0",
            .integer(\.healthPort, in: 0...65_535, placeholder: "PORT")),
        Flag(
            "status-socket", "where weft status asks; beside the subnet file unless given",
            since: nil,
            .text(placeholder: "PATH") { configuration, value in
                guard !value.isEmpty else {
                    configuration.statusSocketPath = nil
                    return nil
                }
                guard let path = absolute(value) else { return "a path of a file" }
                configuration.statusSocketPath = path
                return nil
            }),
        Flag(
            "v", "how much to log: 0 events, 1 details, 2 all", default: "0",
            .text(placeholder: "LEVEL") { configuration, value in
                // Decimal alone, as glog and klog parse it.
                guard let level = Int32(value) else { return "a whole number" }
                configuration.verbosity = Int(level)
                return nil
            }),
        Flag(
            "check", "say what a start would find and do; change nothing", since: nil, variable: false, .mode(.check)),
        Flag(
            "remove-rules", "remove weftd's firewall rules, for flannel v0.11 or an uninstall",
            since: nil, variable: false, .mode(.removeRules)),
        Flag("version", "print the version", variable: false, .mode(.version)),
        Flag("help", "print this", variable: false, .mode(.help)),
        Flag("h", "the same", variable: false, .mode(.help)),
    ]

    /// Flags of Go's logging packages.
    static let logging: [Flag] = [
        Flag(
            "vmodule", "nothing: glog's levels for single source files",
            standing: .unused(reason: "weftd has no levels for single source files; use -v"),
            .ignored(placeholder: "PATTERN=N,…")),
        Flag(
            "log_backtrace_at", "nothing: glog's stack traces",
            standing: .unused(reason: "weftd logs no stack traces"), .ignored(placeholder: "FILE:N")),
    ]
}
