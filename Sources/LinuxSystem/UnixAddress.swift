import CLinux
import Glibc

/// The address of a Unix socket (unix(7)): a file, or a name that belongs to the network namespace.
public struct UnixAddress: Hashable, Sendable {
    /// What stands in `sun_path`; a name's begins with a zero byte.
    private let bytes: [UInt8]

    /// The longest path or name, in bytes.
    public static let longest = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// Of a file.
    ///
    /// - Throws: ``SystemCallError`` ENAMETOOLONG above ``longest`` bytes.
    public init(path: String) throws(SystemCallError) { try self.init(Array(path.utf8), path, Self.longest) }

    /// Of a name without a file, without its zero byte.
    ///
    /// - Throws: ``SystemCallError`` ENAMETOOLONG above ``longest`` bytes.
    public init(abstract name: String) throws(SystemCallError) {
        try self.init([0] + Array(name.utf8), name, Self.longest + 1)
    }

    private init(_ bytes: [UInt8], _ subject: String, _ longest: Int) throws(SystemCallError) {
        guard bytes.count <= longest else { throw SystemCallError(code: ENAMETOOLONG, call: "bind", subject: subject) }
        self.bytes = bytes
    }

    /// Calls `body` with what bind(2), connect(2) and sendto(2) take.
    public func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// A socket of this family, closed on exec.
    ///
    /// - Parameter type: `SOCK_STREAM`, `SOCK_DGRAM`, with flags.
    public static func socket(_ type: CInt, _ subject: String) throws(SystemCallError) -> OwnedDescriptor {
        OwnedDescriptor(
            owning: try systemCall("socket", subject) { Glibc.socket(AF_UNIX, type | CInt(SOCK_CLOEXEC.rawValue), 0) })
    }
}
