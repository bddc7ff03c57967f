import IPNetwork
import LinuxSystem

extension AttachmentPlan {
    /// The parent's name; `nil` for a dummy, which has none.
    static func parent(of request: AttachmentRequest, host: HostSnapshot) throws(AttachError) -> InterfaceName? {
        switch request.parent {
        case .name(let name): return name
        case .hardwareAddress(let address):
            let holders = host.interfaces.filter { $0.hardwareAddress == address && $0.type != 772 }
            // A bridge or a VLAN has its physical interface's address.
            let physical = holders.filter { $0.kind == nil }
            let found = physical.isEmpty ? holders : physical
            guard let first = found.first else {
                throw AttachError(
                    "no interface of the host has the MAC address \(address)",
                    remedy: "ip link lists them; one that was moved into a container is not there")
            }
            guard found.count == 1 else {
                throw AttachError(
                    "several interfaces have the MAC address \(address): "
                        + found.map(\.name.text).sorted().joined(separator: ", "), remedy: "name one of them")
            }
            return first.name
        }
    }

    /// pipework's rules: by what is there, else by how the name begins.
    static func kind(
        of request: AttachmentRequest, parent: InterfaceName?, existing: HostSnapshot.Interface?, host: HostSnapshot
    ) throws(AttachError) -> AttachmentRequest.Kind {
        guard let parent else { return .dummy }
        let isSwitch = host.switches?.contains(parent.text) == true
        if existing?.type == 32 { throw infiniBand(parent.text) }
        var kind: AttachmentRequest.Kind
        if existing?.kind == "bridge" {
            kind = .bridge
        } else if isSwitch {
            kind = .openVSwitch
        } else if let existing {
            try checkNoSwitch(existing, request, host)
            kind = request.isDirect ? .physical : .macvlan
        } else if let wanted = request.kind, [.bridge, .openVSwitch, .dummy].contains(wanted) {
            kind = wanted
        } else if parent.text.hasPrefix("br") {
            kind = .bridge
        } else if parent.text.hasPrefix("ovs") {
            kind = .openVSwitch
        } else if parent.text.hasPrefix("dummy") {
            kind = .dummy
        } else if parent.text.hasPrefix("ib") {
            throw infiniBand(parent.text)
        } else {
            throw AttachError(
                "the host has no interface \(parent)",
                remedy: "ip link lists them; a bridge that is to be made has a name that begins with br or ovs")
        }
        if let wanted = request.kind, wanted != kind {
            let isStanding = [.macvlan, .ipvlan, .physical].contains(kind)
            guard isStanding, [.macvlan, .ipvlan, .physical].contains(wanted) else {
                throw AttachError(
                    "\(parent) is no \(wanted.rawValue): it is \(isStanding ? "a plain interface" : kind.rawValue)",
                    remedy: "leave --type out")
            }
            kind = wanted
        }
        if kind == .openVSwitch, host.switches == nil {
            if let failure = host.switchesFailure {
                throw AttachError("\(parent) would be an Open vSwitch, and \(failure)")
            }
            throw AttachError(
                "\(parent) would be an Open vSwitch, and ovs-vsctl is not installed",
                remedy: "install openvswitch-switch, or take a name that begins with br for a bridge")
        }
        return kind
    }

    /// A macvlan on a switch that nobody could ask about would not be in the switch. Internal ports, which are no switches,
    /// are told from them by the database alone; the interfaces of a switch in user space are taps.
    private static func checkNoSwitch(
        _ existing: HostSnapshot.Interface, _ request: AttachmentRequest, _ host: HostSnapshot
    ) throws(AttachError) {
        guard host.switches == nil, request.kind == nil else { return }
        guard existing.kind == "openvswitch" || existing.kind == "tun" && host.switchesFailure != nil else { return }
        throw AttachError(
            "\(existing.name) may be an Open vSwitch, and "
                + (host.switchesFailure ?? "ovs-vsctl is not installed; install it"),
            remedy: "or say with --type what to take it for")
    }

    /// What does not go together.
    func check(_ request: AttachmentRequest, existing: HostSnapshot.Interface?) throws(AttachError) {
        if let vlan = request.vlan {
            guard (1...4094).contains(vlan) else { throw .usage("\(vlan) is no VLAN", remedy: "give 1 to 4094") }
            if kind == .bridge || kind == .dummy {
                throw AttachError(
                    "a VLAN needs an Open vSwitch or a physical interface, and \(parent?.text ?? "this") is a "
                        + (kind == .bridge ? "bridge" : "dummy"),
                    remedy: "attach to a bridge that the VLAN's sub-interface is in")
            }
        }
        if kind == .ipvlan, request.hardwareAddress != nil {
            throw AttachError(
                "an ipvlan has the MAC address of its physical interface", remedy: "leave the MAC out, or use macvlan")
        }
        if request.hostName != nil, ![.bridge, .openVSwitch].contains(kind) {
            throw AttachError(
                "-l names the host's end of a pair, and a \(kind.rawValue) has none", remedy: "leave -l out")
        }
        guard let existing, [.macvlan, .ipvlan, .physical].contains(kind) else { return }
        guard existing.type != 772 else { throw AttachError("\(existing.name) is the loopback interface") }
        if kind == .macvlan, existing.type != 1 {
            throw AttachError("\(existing.name) is no Ethernet interface, so no macvlan can stand on it")
        }
        if kind != .ipvlan, existing.isPort, request.vlan == nil {
            throw AttachError(
                "\(existing.name) is a port of a bridge, bond or switch",
                remedy: "attach to that bridge, or take the interface out of it")
        }
    }

    static func infiniBand(_ name: String) -> AttachError {
        AttachError(
            "\(name) is an InfiniBand interface, which weft does not attach",
            remedy: "make its child with ip link add link \(name) name \(name).1 type ipoib, and move it by hand")
    }
}
