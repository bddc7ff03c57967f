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
        try Folder.make(for: path)
        if try isListening() { throw SystemCallError(code: EADDRINUSE, call: "bind", subject: path) }
    }

    /// Leaves the socket to root.
    public func restrict() throws(SystemCallError) { try systemCall("chmod", path) { chmod(path, 0o600) } }

    /// Whether a process listens; a file alone was left by one that was killed.
    ///
    /// - Throws: ``SystemCallError`` for a path that no socket can have.
    public func isListening() throws(SystemCallError) -> Bool {
        let address = try UnixAddress(path: path)
        let socket = try UnixAddress.socket(CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), path)
        // EAGAIN: its queue is full, so somebody is there.
        return address.withSocketAddress { connect(socket.rawValue, $0, $1) == 0 || errno == EAGAIN }
    }
}
