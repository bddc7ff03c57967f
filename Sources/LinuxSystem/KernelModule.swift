import CLinux
import Glibc

/// Modules of the running kernel.
public enum KernelModule {
    /// Has the kernel load a module, by its own modprobe in the host's own root, whatever root the process has.
    ///
    /// For modules that nothing in the kernel asks for: the ones that it needs for an interface it loads by itself. Does
    /// nothing without CAP_SYS_MODULE, and nothing where the module is there already or barred in modprobe.d; whether it
    /// is there then, only a try of what it brings can tell.
    public static func load(_ name: String) {
        guard name.utf8.count < Int(IFNAMSIZ), !name.isEmpty else { return }
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var request = ifreq()
        withUnsafeMutableBytes(of: &request) { $0.copyBytes(from: name.utf8) }
        // To look an interface up that is not there loads the module of its name (net/core/dev_ioctl.c, `dev_load`).
        _ = ioctl(descriptor, UInt(SIOCGIFFLAGS), &request)
    }
}
