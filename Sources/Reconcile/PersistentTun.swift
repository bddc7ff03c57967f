import CLinux
import Glibc
import LinuxSystem

/// Makes TUN devices, which rtnetlink cannot.
enum PersistentTun {
    /// Makes a TUN device that stays without a process, unless there is one of that name already: whoever carries its
    /// packets attaches to it later.
    static func make(_ name: InterfaceName) throws(SystemCallError) {
        let descriptor = try OwnedDescriptor(path: "/dev/net/tun", flags: O_RDWR)
        var request = ifreq()
        withUnsafeMutableBytes(of: &request) { bytes in
            // The name is at most 15 bytes, and the rest of its field stays zero.
            bytes.copyBytes(from: name.text.utf8)
            bytes.storeBytes(of: Int16(IFF_TUN | IFF_NO_PI), toByteOffset: Int(IFNAMSIZ), as: Int16.self)
        }
        let raw = descriptor.rawValue
        do throws(SystemCallError) {
            try systemCall("ioctl TUNSETIFF", name.text) { ioctl(raw, UInt(CLINUX_TUNSETIFF), &request) }
        } catch {
            // The process that is to carry its packets was quicker.
            if error.code == EBUSY { return }
            throw error
        }
        try systemCall("ioctl TUNSETPERSIST", name.text) { ioctl(raw, UInt(CLINUX_TUNSETPERSIST), 1) }
    }
}
