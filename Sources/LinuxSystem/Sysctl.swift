import Glibc

/// Kernel settings under /proc/sys, in the network namespace of the calling thread.
public enum Sysctl {
    /// The setting's value without its line end.
    ///
    /// - Parameter key: with slashes: `net/ipv4/ip_forward`.
    public static func read(_ key: String) throws(SystemCallError) -> String {
        let path = "/proc/sys/\(key)"
        let descriptor = try OwnedDescriptor(path: path, flags: O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try systemCall("read", path) { Glibc.read(descriptor.rawValue, &bytes, bytes.count) }
        return String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// - Parameter key: with slashes: `net/ipv4/ip_forward`.
    public static func write(_ key: String, _ value: String) throws(SystemCallError) {
        let path = "/proc/sys/\(key)"
        let descriptor = try OwnedDescriptor(path: path, flags: O_WRONLY)
        let bytes = Array(value.utf8)
        try systemCall("write", path) { Glibc.write(descriptor.rawValue, bytes, bytes.count) }
    }
}
