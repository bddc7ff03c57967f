import Glibc

/// Small files as text: settings, and what the kernel shows under /proc.
public enum TextFile {
    /// The file's text, invalid UTF-8 repaired.
    ///
    /// - Parameter limit: bytes; what is beyond is left out.
    /// - Throws: ``SystemCallError`` naming the path.
    public static func read(_ path: String, limit: Int = 1 << 20) throws(SystemCallError) -> String {
        let descriptor = try OwnedDescriptor(path: path, flags: O_RDONLY)
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit, 16 << 10))
        while text.count < limit {
            let count = try systemCall("read", path) { Glibc.read(descriptor.rawValue, &chunk, chunk.count) }
            if count == 0 { break }
            text += chunk[..<count]
        }
        return String(decoding: text.prefix(limit), as: UTF8.self)
    }
}
