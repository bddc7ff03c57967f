/// Something that goes wrong on a host, to see what becomes of it.
public enum Breakage: String, CaseIterable, Hashable, Sendable {
    case device
    case deviceDown = "device-down"
    case mac
    case mtu
    case address
    case routes
    case neighbour
    case fdb
    case firewall
    case uplink
    case etcd
    case daemon

    /// What it does, as a sentence about `host` with tunnel device `device`.
    public func sentence(host: String, device: String) -> String {
        switch self {
        case .device: "Deletes \(device) on \(host), and with it all its routes."
        case .deviceDown: "Sets \(device) on \(host) down; the kernel drops its routes."
        case .mac: "Gives \(device) on \(host) another MAC than its lease says."
        case .mtu: "Changes the MTU of \(device) on \(host) to 1300."
        case .address: "Removes the address of \(device) on \(host)."
        case .routes: "Deletes the routes to the other hosts on \(host)."
        case .neighbour: "Deletes one neighbour (another host's VTEP) on \(host)."
        case .fdb: "Deletes all forwarding entries of \(device) on \(host)."
        case .firewall: "Deletes the daemon's packet filter rules on \(host)."
        case .uplink: "Sets eth0 of \(host) down, and up again a second later."
        case .etcd: "Kills etcd, and starts it again later with the data it had."
        case .daemon: "Kills the daemon on \(host) and starts it again at once."
        }
    }

    /// Whether it is about the tunnel device, which host-gw does not have.
    public var needsDevice: Bool {
        switch self {
        case .device, .deviceDown, .mac, .mtu, .address, .neighbour, .fdb: true
        case .routes, .firewall, .uplink, .etcd, .daemon: false
        }
    }

    /// The commands that break it, run one after the other in the host's network namespace.
    ///
    /// - Parameters:
    ///   - state: what the host holds before.
    ///   - chains: the daemon's chains on the host.
    /// - Throws: ``LabError`` when there is nothing to break.
    func commands(_ state: HostState, chains: [FilterChain]) throws(LabError) -> [[String]] {
        let name = state.device?.name ?? ""
        func nonEmpty(_ commands: [[String]], _ what: String) throws(LabError) -> [[String]] {
            guard !commands.isEmpty else { throw LabError("the host has no \(what) to break") }
            return commands
        }
        switch self {
        case .device: return [["ip", "link", "delete", name]]
        case .deviceDown: return [["ip", "link", "set", name, "down"]]
        case .mac: return [["ip", "link", "set", name, "address", "0a:bb:cc:dd:ee:ff"]]
        case .mtu: return [["ip", "link", "set", name, "mtu", "1300"]]
        case .address:
            return try nonEmpty(
                (state.device?.addresses ?? []).map { ["ip", "address", "delete", $0, "dev", name] }, "address")
        case .routes:
            return try nonEmpty(
                state.routes.map(\.destination).sorted().map { ["ip", "route", "delete", $0] }, "routes")
        case .neighbour:
            return try nonEmpty(
                state.neighbours.sorted().prefix(1).compactMap { $0.split(separator: " ").first }
                    .map { ["ip", "neighbour", "delete", "\($0)", "dev", name] }, "neighbours")
        case .fdb:
            return try nonEmpty(
                state.forwardingEntries.sorted().map { $0.split(separator: " ").map(String.init) }
                    .map { ["bridge", "fdb", "delete", $0[0], "dev", name, "dst", $0[1]] }, "forwarding entries")
        case .firewall:
            return try nonEmpty(
                chains.map { ["nft", "flush", "chain", $0.family, $0.table, $0.name] },
                "packet filter rules of the daemon's")
        case .uplink: return [["ip", "link", "set", "eth0", "down"]]
        case .etcd, .daemon: return []
        }
    }
}

/// A chain of the packet filter that a daemon made.
struct FilterChain: Hashable, Sendable {
    let family: String
    let table: String
    let name: String
}
