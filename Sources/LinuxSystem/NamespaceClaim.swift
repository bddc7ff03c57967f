import CLinux
import Glibc

/// A name that at most one process of a network namespace holds: the address of a listening socket in the abstract
/// namespace (unix(7)). The kernel frees it when the process ends, however it ends.
public struct NamespaceClaim: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Who holds a name.
    public struct Holder: Hashable, Sendable {
        /// As this process sees it; 0 when it lies outside of its PID namespace.
        public var process: pid_t
        /// The user it ran as when it claimed the name.
        public var user: uid_t
    }

    /// The longest name in bytes.
    public static let longestName = UnixAddress.longest

    /// Claims `name` in the network namespace of this thread.
    ///
    /// - Throws: ``SystemCallError``: EADDRINUSE when it is held, ENAMETOOLONG above ``longestName`` bytes.
    public init(_ name: String) throws(SystemCallError) {
        let address = try UnixAddress(abstract: name)
        let socket = try Self.socket(name)
        let number = socket.rawValue
        try systemCall("bind", name) { address.withSocketAddress { bind(number, $0, $1) } }
        // So that others can ask who holds the name.
        try systemCall("listen", name) { listen(number, 128) }
        descriptor = socket
    }

    /// Who holds `name`, or `nil` when nobody does or it cannot be told.
    public static func holder(of name: String) -> Holder? {
        guard let address = try? UnixAddress(abstract: name), let socket = try? socket(name) else { return nil }
        let number = socket.rawValue
        guard
            (try? systemCall("connect", name) { address.withSocketAddress { connect(number, $0, $1) } }) != nil
        else { return nil }
        // struct ucred: pid, uid, gid.
        var credentials: [UInt32] = [0, 0, 0]
        var length = socklen_t(MemoryLayout<UInt32>.stride * credentials.count)
        guard getsockopt(number, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
        return Holder(process: pid_t(bitPattern: credentials[0]), user: credentials[1])
    }

    /// The names in this network namespace that begin with `prefix`, from `/proc/self/net/unix`.
    public static func names(beginningWith prefix: String) -> [String] {
        guard let table = try? TextFile.read("/proc/self/net/unix", limit: 4 << 20) else { return [] }
        return table.split(separator: "\n").compactMap { line in
            // The last column, where there is one; the zero byte in front stands as @.
            let words = line.split(separator: "@", maxSplits: 1)
            return words.count == 2 && words[1].hasPrefix(prefix) ? String(words[1]) : nil
        }
    }

    private static func socket(_ name: String) throws(SystemCallError) -> OwnedDescriptor {
        try UnixAddress.socket(CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), name)
    }
}
