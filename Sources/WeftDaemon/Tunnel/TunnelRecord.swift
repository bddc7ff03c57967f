import IPNetwork
import KernelState
import LinuxSystem

/// What a userspace tunnel was doing, as a text that the next process goes on from before it has asked the registry.
struct TunnelRecord: Hashable, Sendable {
    /// Lines of a file that is not damaged: the first says the form, the last how many next hops there are.
    private static let form = "weft-tunnel 1"
    /// Bytes; a next hop takes about 40, with IPv6 up to 100.
    static let sizeLimit = 8 << 20

    /// The boot that the device belongs to: it does not outlive it.
    var boot: String
    /// Which registry and network the next hops are of.
    var registry: String
    var spec: TunnelSpec
    var nextHops: [IPPrefix: IPAddress]

    /// The kernel's number of the running boot; `nil` when it cannot be read.
    static var currentBoot: String? { try? Sysctl.read("kernel/random/boot_id") }

    var text: String {
        var text = "\(Self.form)\nboot \(boot)\nregistry \(registry)\ndevice \(spec.device)\nport \(spec.port)\n"
        text += "check \(spec.checksPeers)\n"
        for endpoint in spec.endpoints { text += "endpoint \(endpoint)\n" }
        for address in spec.addresses { text += "address \(address)\n" }
        for subnet in spec.ownSubnets { text += "own \(subnet)\n" }
        for (subnet, remote) in nextHops { text += "hop \(subnet) \(remote)\n" }
        return text + "end \(nextHops.count)\n"
    }

    /// All fields as given.
    init(boot: String, registry: String, spec: TunnelSpec, nextHops: [IPPrefix: IPAddress]) {
        self.boot = boot
        self.registry = registry
        self.spec = spec
        self.nextHops = nextHops
    }

    /// `nil` for a text that is not wholly as ``text`` writes it.
    init?(_ text: String) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        guard lines.popLast() == "", lines.popFirst() == Self.form[...], let end = lines.popLast() else { return nil }
        func take(_ name: String) -> Substring? {
            guard let line = lines.first, line.hasPrefix("\(name) ") else { return nil }
            lines.removeFirst()
            return line.dropFirst(name.utf8.count + 1)
        }
        guard
            let boot = take("boot"), let registry = take("registry"),
            let device = take("device").flatMap({ InterfaceName($0) }),
            let port = take("port").flatMap({ UInt16($0) }), port != 0,
            let check = take("check").flatMap({ Bool(String($0)) })
        else { return nil }
        var spec = TunnelSpec(device: device, port: port, checksPeers: check)
        while let word = take("endpoint") {
            guard let address = IPAddress(String(word)) else { return nil }
            spec.endpoints.append(address)
        }
        while let word = take("address") {
            guard let address = IPAddress(String(word)) else { return nil }
            spec.addresses.append(address)
        }
        while let word = take("own") {
            guard let subnet = IPPrefix(String(word)) else { return nil }
            spec.ownSubnets.append(subnet)
        }
        var hops: [IPPrefix: IPAddress] = [:]
        while let words = take("hop")?.split(separator: " ", omittingEmptySubsequences: false) {
            guard
                words.count == 2, let subnet = IPPrefix(String(words[0])), let remote = IPAddress(String(words[1])),
                hops.updateValue(remote, forKey: subnet) == nil
            else { return nil }
        }
        let families = Set(spec.endpoints.map(\.isIPv6))
        guard
            lines.isEmpty, end == "end \(hops.count)", !families.isEmpty, families.count == spec.endpoints.count,
            spec.addresses.count == spec.ownSubnets.count, spec.addresses.count == spec.endpoints.count
        else { return nil }
        self.init(boot: String(boot), registry: String(registry), spec: spec, nextHops: hops)
    }
}
