import Glibc
import IPNetwork
import LinuxSystem
import Synchronization

/// What a host has once, and each weftd on it must have for itself: its network, its devices, its subnet file.
///
/// A claim is the kernel's: it ends with the process, so that a restart finds all free. Stock daemons make none.
final class HostClaims: Sendable {
    /// Something that another weftd on the host has.
    struct Conflict: Error, Hashable, CustomStringConvertible {
        let description: String
    }

    /// A class, so that a dictionary can hold it.
    private final class Claim: Sendable {
        let claim: NamespaceClaim
        init(_ name: String) throws(SystemCallError) { claim = try NamespaceClaim(name) }
    }

    private static let networkPrefix = "weftd/network/"
    private static let interfacePrefix = "weftd/interface/"

    private let held = Mutex<[String: Claim]>([:])

    /// The networks that a running weftd on this host serves.
    static var networks: [IPPrefix] {
        NamespaceClaim.names(beginningWith: networkPrefix).compactMap {
            IPPrefix(String($0.dropFirst(networkPrefix.count)))
        }
    }

    /// The networks that other weftd on this host serve.
    var othersNetworks: [IPPrefix] {
        let own = held.withLock { $0.keys.map { $0 } }
        return Self.networks.filter { !own.contains("\(Self.networkPrefix)\($0)") }
    }

    /// What an earlier process of this network's left, and no running weftd of another network has.
    func ours(_ left: KernelPlaneProbe.Leftovers) -> KernelPlaneProbe.Leftovers {
        let own = held.withLock { Set($0.keys) }
        let others = NamespaceClaim.names(beginningWith: Self.interfacePrefix).filter { !own.contains($0) }
        let isTaken = left.interfaces.contains { others.contains(Self.interfacePrefix + $0.text) }
        return isTaken ? KernelPlaneProbe.Leftovers() : left
    }

    /// Claims what a network takes, and gives up what it took before; on a conflict all stays as it was.
    func hold(networks: [IPPrefix], interfaces: Set<InterfaceName>) throws(Conflict) {
        let names =
            networks.map { "\(Self.networkPrefix)\($0)" } + interfaces.sorted().map { Self.interfacePrefix + $0.text }
        let earlier = held.withLock { Set($0.keys) }
        do throws(Conflict) {
            for network in networks { try claim(network) }
            for interface in interfaces.sorted() {
                try claim(Self.interfacePrefix + interface.text) { holder in
                    "interface \(interface) belongs to another weftd on this host\(holder); "
                        + "give each network's Backend a VNI of its own; of the type udp there can be one on a host"
                }
            }
        } catch {
            held.withLock { held in held = held.filter { earlier.contains($0.key) } }
            throw error
        }
        held.withLock { held in
            held = held.filter { name, _ in names.contains(name) || name.hasPrefix(Self.filePrefix) }
        }
    }

    private static let filePrefix = "weftd/file/"

    /// Claims a subnet file, by its folder's identity, which containers that share the folder see too.
    func hold(_ file: SubnetFile) throws(Conflict) {
        let parts = file.path.split(separator: "/")
        file.makeFolder()
        var status = stat()
        let folder = "/" + parts.dropLast().joined(separator: "/")
        guard stat(folder, &status) == 0, let name = parts.last else { return }
        let identity = "\(Self.filePrefix)\(status.st_dev)/\(status.st_ino)/"
        let rest = String(decoding: name.utf8.suffix(NamespaceClaim.longestName - identity.utf8.count), as: UTF8.self)
        try claim(identity + rest) { holder in
            "\(file.path) is written by another weftd on this host\(holder); "
                + "give each a --subnet-file of its own, or stop one"
        }
    }

    private func claim(_ network: IPPrefix) throws(Conflict) {
        let message = { (other: IPPrefix, holder: String) in
            "Network \(network) overlaps \(other), which another weftd on this host\(holder) serves; "
                + "give each network a range of its own, or stop one weftd"
        }
        try claim("\(Self.networkPrefix)\(network)") { message(network, $0) }
        let overlapping = othersNetworks.first { other in
            network.contains(other.address) || other.contains(network.address)
        }
        guard let overlapping, let holder = Self.holder(of: "\(Self.networkPrefix)\(overlapping)") else { return }
        throw Conflict(description: message(overlapping, holder))
    }

    private func claim(_ name: String, _ message: (String) -> String) throws(Conflict) {
        if held.withLock({ $0[name] != nil }) { return }
        do throws(SystemCallError) {
            let claim = try Claim(name)
            held.withLock { $0[name] = claim }
        } catch {
            // Where claims cannot be made, the daemon works as if it were alone.
            guard error.code == EADDRINUSE, let holder = Self.holder(of: name) else { return }
            throw Conflict(description: message(holder))
        }
    }

    /// - Returns: words for a message; `nil` when nobody with a right to it holds the name: it is free for all users.
    private static func holder(of name: String) -> String? {
        guard let holder = NamespaceClaim.holder(of: name) else { return "" }
        guard holder.user == 0 || holder.user == geteuid() else { return nil }
        return holder.process > 0 ? " (process \(holder.process))" : ""
    }
}
