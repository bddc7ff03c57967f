import Leases

/// The Backend object of a vxlan network, with flannel's names and defaults.
struct VXLANOptions: Hashable, Sendable {
    /// VXLAN network identifier, 1 to 2^24 - 1.
    var vni: UInt32
    /// UDP port, Linux's own 8472 unless said.
    var port: UInt16
    /// The underlying network's MTU in bytes, before the overhead is taken off; `nil` for the external interface's.
    var mtu: UInt32?
    var gbp: Bool
    var learning: Bool
    /// Peers on this host's own link are reached by plain routes.
    var directRouting: Bool

    init(_ backend: JSONValue) throws(FieldError) {
        let path = "Backend"
        vni = UInt32(try backend.integer("VNI", in: 1...16_777_215, path: path) ?? 1)
        let port = try backend.integer("Port", in: 0...65_535, path: path) ?? 0
        self.port = port == 0 ? 8472 : UInt16(port)
        let mtu = try backend.integer("MTU", in: 0...65_535, path: path) ?? 0
        guard mtu == 0 || mtu >= 576 else {
            throw FieldError(
                path: "Backend.MTU", value: "\(mtu)", allowed: "0 for the interface's own, or 576 to 65535")
        }
        self.mtu = mtu == 0 ? nil : UInt32(mtu)
        gbp = try backend.bool("GBP", path: path) ?? false
        learning = try backend.bool("Learning", path: path) ?? false
        directRouting = try backend.bool("DirectRouting", path: path) ?? false
    }
}
