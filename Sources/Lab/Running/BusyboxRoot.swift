import FoundationEssentials
import Glibc
import LinuxSystem

/// The root directory of a container: one busybox binary and a name for each of its programs.
enum BusyboxRoot {
    /// Copies the machine's busybox to `path`, once for a lab.
    static func prepare(_ path: String) async throws {
        guard !FileManager.default.fileExists(atPath: path) else { return }
        guard let busybox = Tool.find("busybox") else { throw LabError("busybox is not installed") }
        try FileManager.default.copyItem(atPath: busybox, toPath: path)
        // In the new root there is no C library to load.
        if try await Tool.attempt(["ldd", path]).output.contains("=>") {
            throw LabError("\(busybox) is not statically linked", remedy: "Install the package busybox-static.")
        }
    }

    /// The names that busybox answers to.
    static func applets(_ busybox: String) async throws -> [String] {
        try await Tool.require([busybox, "--list"]).split(separator: "\n").map(String.init)
    }

    /// Makes the directory at `root`; the binary is a hard link.
    ///
    /// - Parameter greeting: what its web server says.
    static func make(_ root: String, busybox: String, applets: [String], greeting: String) throws {
        for name in ["bin", "dev", "etc", "proc", "tmp", "www"] { try LabDirectory.make("\(root)/\(name)") }
        try systemCall("link", "\(root)/bin/busybox") { link(busybox, "\(root)/bin/busybox") }
        for applet in applets where applet != "busybox" {
            try systemCall("symlink", "\(root)/bin/\(applet)") { symlink("busybox", "\(root)/bin/\(applet)") }
        }
        // The numbers of the memory devices, from the kernel's Documentation/admin-guide/devices.txt.
        for (name, minor) in [("null", 3), ("zero", 5), ("urandom", 9)] {
            try systemCall("mknod", "\(root)/dev/\(name)") {
                mknod("\(root)/dev/\(name)", S_IFCHR | 0o666, dev_t(1 << 8 | minor))
            }
        }
        try write("root:x:0:0:root:/:/bin/sh\n", to: "\(root)/etc/passwd")
        try write("\(greeting)\n", to: "\(root)/www/index.html")
        try write("#!/bin/sh\nhostname \"$1\"\nexec httpd -f -p 80 -h /www\n", to: "\(root)/init", mode: 0o755)
    }

    private static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws {
        let descriptor = try OwnedDescriptor(path: path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        let bytes = Array(text.utf8)
        try systemCall("write", path) { Glibc.write(descriptor.rawValue, bytes, bytes.count) }
    }
}
