import LinuxSystem

/// An attachment as `weft attach --list` shows it; `--json` gives these fields.
public struct AttachmentStatus: Hashable, Codable, Sendable {
    /// The record's name.
    public var id: String
    /// As the operator named it.
    public var container: String
    /// The engine's id; `nil` for a process or a named namespace.
    public var containerID: String?
    /// The interface in the container.
    public var interface: String
    /// The bridge, switch or physical interface; `nil` for a dummy.
    public var parent: String?
    /// How it is connected: bridge, ovs, macvlan, ipvlan, phys, dummy.
    public var kind: String
    /// The host's end of a veth pair.
    public var hostInterface: String?
    /// As on the command line; DHCP's is the client's name.
    public var addresses: [String]
    /// 1 to 4094.
    public var vlan: UInt16?
    /// Whether it comes back with the container.
    public var isKept: Bool
    /// `attached`; `waiting` for the container to start; `ended` with it and not yet cleaned up; `unfinished`.
    public var state: String

    init(_ record: AttachmentRecord) {
        let request = record.request
        id = record.id
        container = request.container.description
        containerID = record.target?.id
        interface = request.name.text
        kind = record.kind.rawValue
        switch request.parent {
        case .name(let name): parent = record.kind == .dummy ? nil : name.text
        case .hardwareAddress(let address): parent = "mac:\(address)"
        }
        for case .createPair(let name, _, _) in record.performed.map(\.step) { hostInterface = name.text }
        switch request.addressing {
        case .none: addresses = []
        case .fixed(let all): addresses = all.map { "\($0)" }
        case .dhcp(let dhcp): addresses = ["\(dhcp)"]
        }
        vlan = request.vlan
        isKept = request.isKept
        switch record.state {
        case .applying: state = "unfinished"
        case .waiting: state = "waiting"
        case .attached: state = record.isTargetAlive ? "attached" : "ended"
        }
    }
}
