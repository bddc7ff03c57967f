import CLinux
import Glibc
import IPNetwork
import LinuxSystem

/// A raw socket for ICMP errors of one family.
///
/// Written to the TUN device instead, as flannel does, an error from this host's own address would arrive there as one
/// from a stranger, and the kernel drops such packets ("martian source") unless accept_local is set.
struct ErrorSocket: ~Copyable, Sendable {
    let descriptor: OwnedDescriptor
    /// The source of the errors, 4 or 16 bytes.
    let source: [UInt8]

    init(_ address: IPAddress) throws(SystemCallError) {
        let family = address.isIPv6 ? AF_INET6 : AF_INET
        let kind = CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        descriptor = OwnedDescriptor(
            owning: try systemCall("socket", "raw \(address)") { socket(family, kind, CInt(IPPROTO_RAW)) })
        source = address.bytes
    }
}
