import CLinux
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

    /// A file in memory, without a name, that holds `text`; it is read from its beginning.
    ///
    /// - Throws: ``SystemCallError`` when there is no memory for it.
    public static func file(holding text: String) throws(SystemCallError) -> OwnedDescriptor {
        let bytes = Array(text.utf8)
        let descriptor = try systemCall("memfd_create") { memfd_create("text", UInt32(MFD_CLOEXEC)) }
        let file = OwnedDescriptor(owning: descriptor)
        var written = 0
        while written < bytes.count {
            // Written at a place, so that the reader begins at the first byte.
            written += try systemCall("pwrite") {
                bytes.withUnsafeBytes { bytes in
                    pwrite(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written, off_t(written))
                }
            }
        }
        return file
    }

    deinit { close(rawValue) }
}
