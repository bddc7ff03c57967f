import Glibc
import LinuxSystem

/// Which xtables the kernel has loaded in a network namespace.
public struct HostTables: Sendable {
    private let directory: String

    /// - Parameter directory: the `net` directory of a process in the namespace.
    public init(directory: String = "/proc/self/net") { self.directory = directory }

    /// The names of the loaded tables of iptables-legacy: `filter`, `nat`, … Empty when none is loaded, which is also
    /// what the file's absence means (the kernel's `net/netfilter/x_tables.c`).
    func legacy(_ family: IPFamily) -> Set<String> {
        let path = "\(directory)/\(family == .ipv4 ? "ip" : "ip6")_tables_names"
        // At most five names of at most 32 bytes, so one read takes them all.
        var bytes = [UInt8](repeating: 0, count: 512)
        guard
            let descriptor = try? OwnedDescriptor(path: path, flags: O_RDONLY),
            let count = try? systemCall("read", path, { read(descriptor.rawValue, &bytes, bytes.count) })
        else { return [] }
        return Set(String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init))
    }
}
