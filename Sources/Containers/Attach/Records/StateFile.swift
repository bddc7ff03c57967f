import Glibc
import LinuxSystem

/// Small files that are there whole or not at all.
enum StateFile {
    /// With its parents, for root alone.
    static func makeDirectory(_ path: String) throws(SystemCallError) {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/\(part)"
            if mkdir(current, 0o700) != 0, errno != EEXIST {
                throw SystemCallError(code: errno, call: "mkdir", subject: current)
            }
        }
    }

    /// Under another name first, on the disk, and then in the place of the old one.
    static func write(_ text: String, to path: String) throws(SystemCallError) {
        let temporary = path + ".new"
        do {
            let file = try OwnedDescriptor(path: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            let bytes = Array(text.utf8)
            var written = 0
            while written < bytes.count {
                written += try systemCall("write", temporary) {
                    bytes[written...].withUnsafeBytes { Glibc.write(file.rawValue, $0.baseAddress, $0.count) }
                }
            }
            try systemCall("fsync", temporary) { fsync(file.rawValue) }
        } catch {
            unlink(temporary)
            throw error
        }
        try systemCall("rename", path) { rename(temporary, path) }
    }
}
