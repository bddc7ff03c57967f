import Glibc
import IPNetwork
import LinuxSystem

/// Why a tunnel could not be started.
public enum TunnelError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The configuration cannot be: which field, what it has, what is allowed.
    case configuration(String)
    /// The device is there but another process has it, or it is no TUN device.
    case device(InterfaceName, SystemCallError)
    /// The socket for an address and port could not be made.
    case socket(IPAddress, port: UInt16, SystemCallError)
    /// Another resource of the process or kernel ran out.
    case system(SystemCallError)

    /// What went wrong and what can be done.
    public var description: String {
        switch self {
        case .configuration(let text): text
        case .device(let name, let error): "TUN device \(name): \(error)" + Self.remedy(name, error.code)
        case .socket(let address, let port, let error):
            "UDP socket on \(address) port \(port): \(error)"
                + (error.code == EADDRINUSE
                    ? " (another process has the port: stop it, or set Port in the network config)"
                    : error.code == EADDRNOTAVAIL ? " (no interface has the address)" : "")
        case .system(let error): "\(error)"
        }
    }

    private static func remedy(_ name: InterfaceName, _ code: CInt) -> String {
        switch code {
        case EBUSY: " (another process has it: stop a flanneld or second weftd that runs on this host)"
        case EINVAL: " (an interface of that name is no TUN device, or has other queues: ip link delete \(name))"
        case ENOENT, ENODEV, ENXIO: " (load the kernel module tun, and give the process /dev/net/tun)"
        default: ""
        }
    }
}
