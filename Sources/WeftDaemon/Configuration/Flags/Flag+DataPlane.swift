extension Flag {
    /// What the kernel is told beside the backend's own.
    static let dataPlane: [Flag] = [
        Flag("ip-masq", "masquerade what leaves the overlay", default: "false", .setting(\.masquerade)),
        Flag(
            "ip-masq-fully-random-disable", "do not choose source ports of masqueraded traffic at random",
            default: "false", since: "0.27.4", .setting(\.keepsSourcePorts)),
        Flag(
            "ip-blackhole-route", "drop packets to containers that are gone, with a route for the own subnet",
            default: "false", since: "0.27.1", .setting(\.blackholeRoute)),
        Flag(
            "iptables-forward-rules", "let the firewall forward from and to the overlay", default: "true",
            .setting(\.forwardRules)),
        Flag(
            "iptables-resync", "seconds between two checks of the firewall rules", default: "5",
            .integer(\.firewallResync, in: 0...86_400, placeholder: "SECONDS")),
    ]
}
