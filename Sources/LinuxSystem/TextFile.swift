import Glibc

/// Small files as text: settings, and what the kernel shows under /proc.
public enum TextFile {
    /// The file's text, invalid UTF-8 repaired.
    ///
    /// - Parameters:
    ///   - limit: bytes; what is beyond is left out.
    ///   - isOwn: refuse with EPERM a file that another user owns or may write.
    /// - Throws: ``SystemCallError`` naming the path.
    public static func read(
        _ path: String, limit: Int = 1 << 20, isOwn: Bool = false
    ) throws(SystemCallError) -> String {
        let descriptor = try OwnedDescriptor(path: path, flags: O_RDONLY)
        if isOwn {
            var status = stat()
            try systemCall("fstat", path) { fstat(descriptor.rawValue, &status) }
            guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
                throw SystemCallError(code: EPERM, call: "read", subject: path)
            }
        }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit, 16 << 10))
        while text.count < limit {
            let count = try systemCall("read", path) { Glibc.read(descriptor.rawValue, &chunk, chunk.count) }
            if count == 0 { break }
            text += chunk[..<count]
        }
        return String(decoding: text.prefix(limit), as: UTF8.self)
    }

    /// Puts `text` in the file's place in one step, with mode 0644; makes its folder if there is none.
    ///
    /// - Throws: ``SystemCallError`` naming the path; then the file is as it was.
    public static func replace(_ path: String, with text: String) throws(SystemCallError) {
        try Folder.make(for: path)
        let temporary = "\(path).\(getpid())"
        do throws(SystemCallError) {
            try put(text, in: temporary)
            try systemCall("rename", path) { rename(temporary, path) }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    private static func put(_ text: String, in path: String) throws(SystemCallError) {
        let descriptor = try OwnedDescriptor(path: path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        // Whatever the umask is: others read such files too.
        try systemCall("fchmod", path) { fchmod(descriptor.rawValue, 0o644) }
        let bytes = Array(text.utf8)
        var position = 0
        while position < bytes.count {
            let written = try systemCall("write", path) {
                bytes.withUnsafeBytes {
                    Glibc.write(descriptor.rawValue, $0.baseAddress?.advanced(by: position), bytes.count - position)
                }
            }
            guard written > 0 else { throw SystemCallError(code: ENOSPC, call: "write", subject: path) }
            position += written
        }
    }
}
