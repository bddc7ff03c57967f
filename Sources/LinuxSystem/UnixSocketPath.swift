import CLinux
import Glibc

/// A place in the file system for a socket to listen on.
public struct UnixSocketPath: Hashable, Sendable {
    /// Up to 107 bytes (unix(7)).
    public let path: String

    /// Touches no file.
    public init(path: String) { self.path = path }

    /// Makes the folder, and sees that nobody listens there yet.
    ///
    /// - Throws: ``SystemCallError``, EADDRINUSE when another process listens.
    public func prepare() throws(SystemCallError) {
        let folder = path.split(separator: "/").dropLast().reduce(into: "") { $0 += "/\($1)" }
        if !folder.isEmpty, access(folder, F_OK) != 0 { try systemCall("mkdir", folder) { mkdir(folder, 0o755) } }
        if try isListening() { throw SystemCallError(code: EADDRINUSE, call: "bind", subject: path) }
    }

    /// Leaves the socket to root.
    public func restrict() throws(SystemCallError) { try systemCall("chmod", path) { chmod(path, 0o600) } }

    /// Whether a process listens; a file alone was left by one that was killed.
    ///
    /// - Throws: ``SystemCallError`` for a path that no socket can have.
    public func isListening() throws(SystemCallError) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw SystemCallError(code: ENAMETOOLONG, call: "bind", subject: path)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = OwnedDescriptor(
            owning: try systemCall("socket", path) {
                socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
            })
        let raw = descriptor.rawValue
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                // EAGAIN: its queue is full, so somebody is there.
                connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 || errno == EAGAIN
            }
        }
    }
}
