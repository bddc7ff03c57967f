import Glibc

/// A file descriptor with one owner; it is closed when the owner goes.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, valid as long as this value lives.
    public let rawValue: CInt

    /// Takes over `rawValue`, which nobody else may close.
    public init(owning rawValue: CInt) { self.rawValue = rawValue }

    /// Opens `path`; the descriptor is closed on exec.
    public init(path: String, flags: CInt, mode: mode_t = 0) throws(SystemCallError) {
        rawValue = try systemCall("open", path) { open(path, flags | O_CLOEXEC, mode) }
    }

    deinit { close(rawValue) }
}
