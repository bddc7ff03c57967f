import Glibc

/// Kernel settings under /proc/sys, in the network namespace of the calling thread.
public enum Sysctl {
    /// The setting's value without its line end.
    ///
    /// - Parameter key: with slashes: `net/ipv4/ip_forward`.
    public static func read(_ key: String) throws(SystemCallError) -> String {
        let text = try TextFile.read("/proc/sys/\(key)")
        return String(text.prefix { $0 != "\n" })
    }

    /// - Parameter key: with slashes: `net/ipv4/ip_forward`.
    public static func write(_ key: String, _ value: String) throws(SystemCallError) {
        let path = "/proc/sys/\(key)"
        let descriptor = try OwnedDescriptor(path: path, flags: O_WRONLY)
        let bytes = Array(value.utf8)
        try systemCall("write", path) { Glibc.write(descriptor.rawValue, bytes, bytes.count) }
    }
}
