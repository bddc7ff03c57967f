import Leases
import LinuxSystem

/// A kernel that forwards nothing carries no container's packets. A container engine turns it on, mostly for IPv4 alone; a
/// host may have no engine, so that this is the operator's.
enum Forwarding {
    /// The settings that are off though a subnet needs them, as words; `nil` when none is.
    static func off(for key: SubnetKey) -> String? {
        var names: [String] = []
        if key.ipv4 != nil { names.append("net.ipv4.ip_forward") }
        if key.ipv6 != nil { names.append("net.ipv6.conf.all.forwarding") }
        let off = names.filter { name in
            (try? Sysctl.read(String(name.map { $0 == "." ? "/" : $0 }))) == "0"
        }
        return off.isEmpty ? nil : off.map { "\($0) is 0" }.joined(separator: ", ")
    }
}
