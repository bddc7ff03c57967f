/// Something in the command line or the environment that has no effect, to be named once in the log.
public struct UnusedSetting: Hashable, Sendable {
    /// As the operator wrote it: `--vmodule`, `FLANNELD_VMODULE`, `NODE_NAME`.
    public let name: String
    /// Why it has none.
    public let reason: String
}

/// A variable of flannel's that has no flag.
struct OtherVariable: Sendable {
    let name: String
    /// The first release of flannel from v0.11 on that reads it.
    let since: String
    /// Why it has no effect here.
    let reason: String

    /// What flannel v0.11 to v0.28 reads beside the flags' variables. Those that systemd sets are not flannel's.
    static let all: [OtherVariable] = [
        kubernetes("NODE_NAME", "0.11"), kubernetes("POD_NAME", "0.11"), kubernetes("POD_NAMESPACE", "0.11"),
        kubernetes("EVENT_QUEUE_DEPTH", "0.18"), kubernetes("CONT_WHEN_CACHE_NOT_READY", "0.27.1"),
        OtherVariable(name: "WIREGUARD_KEY_FILE", since: "0.16", reason: "there is no wireguard backend yet"),
        cloud("ACCESS_KEY_ID"), cloud("ACCESS_KEY_SECRET"),
    ]

    private static func kubernetes(_ name: String, _ since: String) -> OtherVariable {
        OtherVariable(name: name, since: since, reason: "it is the Kubernetes subnet manager's, which is off")
    }

    private static func cloud(_ name: String) -> OtherVariable {
        OtherVariable(name: name, since: "0.11", reason: "there is no backend for a cloud's route tables yet")
    }
}
