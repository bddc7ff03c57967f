import FoundationEssentials

/// What the kernel of one host holds for the container network, as far as a daemon is answerable for it.
public struct HostState: Hashable, Sendable {
    /// The tunnel device.
    public struct Device: Hashable, Sendable {
        /// For example `flannel.1`.
        public var name: String
        /// With colons; empty when there is none.
        public var mac: String
        /// Bytes.
        public var mtu: Int
        /// Set up by the administrator (`IFF_UP`).
        public var isUp: Bool
        /// IPv4 only, as `ADDRESS/LENGTH`.
        public var addresses: [String]
    }

    /// A route as `ip` prints it.
    public struct Route: Hashable, Sendable {
        /// A prefix, or an address alone for a /32.
        public var destination: String
        /// Empty when the destination is on the link.
        public var gateway: String
        /// Empty when the route has none.
        public var device: String
    }

    /// `nil` for a backend without a device, or when it is gone.
    public var device: Device?
    /// The MTU and the state of `eth0`.
    public var uplinkMTU: Int?
    /// False also when there is no `eth0`.
    public var isUplinkUp = false
    /// Routes inside the lab's network that the kernel did not add by itself.
    public var routes: Set<Route> = []
    /// Permanent neighbours on the device: address and MAC.
    public var neighbours: Set<String> = []
    /// Forwarding entries of the device: MAC and remote host.
    public var forwardingEntries: Set<String> = []
    /// The rules of the packet filter, without counters.
    public var firewall = ""

    /// Reads the state of the host with network namespace `namespace`.
    static func read(namespace: String, device: String?, readsFirewall: Bool = true) async throws -> HostState {
        async let basics = Tool.require(
            ["ip", "-n", namespace, "-json", "-batch", "-"], input: "address show\nroute show\nneighbour show\n")
        async let entries = device.asyncMap {
            try await Tool.attempt(["bridge", "-n", namespace, "-json", "fdb", "show", "dev", $0])
        }
        async let rules =
            readsFirewall
            ? Tool.attempt(Tool.inside(namespace, ["nft", "--stateless", "list", "ruleset"])).output : ""
        var state = try HostState(ipOutput: try await basics, device: device)
        if let entries = try await entries, entries.succeeded {
            state.forwardingEntries = try Self.forwardingEntries(entries.output)
        }
        state.firewall = try await rules
        return state
    }

    /// Decodes what `ip -json` printed for addresses, routes and neighbours, a line each.
    init(ipOutput: String, device: String?) throws {
        let documents = ipOutput.split(separator: "\n").filter { $0.hasPrefix("[") }
        guard documents.count == 3 else { throw LabError("ip printed \(documents.count) documents, not 3") }
        let links = try Self.decode([Link].self, documents[0])
        if let link = links.first(where: { $0.ifname == device }) {
            self.device = Device(
                name: link.ifname, mac: link.address ?? "", mtu: link.mtu, isUp: link.isUp,
                addresses: link.addr_info.filter { $0.family == "inet" }.map { "\($0.local)/\($0.prefixlen)" })
        }
        if let uplink = links.first(where: { $0.ifname == "eth0" }) {
            uplinkMTU = uplink.mtu
            isUplinkUp = uplink.isUp
        }
        let block = LabPlan.network.split(separator: ".").prefix(2).joined(separator: ".") + "."
        routes = Set(
            try Self.decode([RouteEntry].self, documents[1]).filter {
                $0.dst.hasPrefix(block) && $0.protocol != "kernel"
            }
            .map { Route(destination: $0.dst, gateway: $0.gateway ?? "", device: $0.dev ?? "") })
        neighbours = Set(
            try Self.decode([Neighbour].self, documents[2])
                .filter { $0.dev == device && ($0.state ?? []).contains("PERMANENT") }
                .map { "\($0.dst) \($0.lladdr ?? "")" })
    }

    /// Decodes what `bridge -json fdb show` printed.
    static func forwardingEntries(_ output: String) throws -> Set<String> {
        guard output.contains("[") else { return [] }
        return Set(
            try decode([ForwardingEntry].self, output[...]).compactMap { entry in
                entry.dst.map { "\(entry.mac) \($0)" }
            })
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ text: Substring) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    // The fields of iproute2's JSON that matter, under its own names.
    private struct Link: Decodable {
        struct Address: Decodable {
            let family: String
            let local: String
            let prefixlen: Int
        }
        let ifname: String
        let address: String?
        let mtu: Int
        let flags: [String]
        let addr_info: [Address]
        var isUp: Bool { flags.contains("UP") }
    }
    private struct RouteEntry: Decodable {
        let dst: String
        let gateway: String?
        let dev: String?
        let `protocol`: String?
    }
    private struct Neighbour: Decodable {
        let dst: String
        let dev: String?
        let lladdr: String?
        let state: [String]?
    }
    private struct ForwardingEntry: Decodable {
        let mac: String
        let dst: String?
    }
}

extension Optional where Wrapped: Sendable {
    /// `map` with a body that waits.
    func asyncMap<Value>(_ body: (Wrapped) async throws -> Value) async rethrows -> Value? {
        if let self { try await body(self) } else { nil }
    }
}
