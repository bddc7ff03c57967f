import Leases

/// The Backend object of a udp network, with flannel's names and defaults.
struct UDPOptions: Hashable, Sendable {
    /// UDP port of every host, 8285 unless said.
    var port: UInt16
    /// Which plane the operator wants; stock flannel ignores the field, so that hosts may differ in nothing but this.
    var dataPlane: DataPlane
    /// A packet must come from a peer and from that peer's subnet. Stock flannel ignores the field, and checks nothing.
    var checksPeers: Bool

    /// What carries the packets.
    enum DataPlane: String, CaseIterable {
        /// The kernel where it can, else userspace.
        case auto
        case kernel
        case userspace
    }

    init(_ backend: JSONValue) throws(FieldError) {
        let path = "Backend"
        // Go leaves the default in place for a missing field; a port of 0 would be another on every host.
        port = UInt16(try backend.integer("Port", in: 1...65_535, path: path) ?? 8285)
        let allowed = DataPlane.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        dataPlane =
            try backend.parsed("DataPlane", path: path, allowed: allowed) { DataPlane(rawValue: $0.lowercased()) }
            ?? .auto
        checksPeers = try backend.bool("PeerCheck", path: path) ?? true
    }
}
