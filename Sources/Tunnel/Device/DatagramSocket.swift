import CLinux
import Glibc
import IPNetwork
import LinuxSystem

/// The UDP socket of one address family that a tunnel sends and receives on.
struct DatagramSocket: ~Copyable, Sendable {
    let descriptor: OwnedDescriptor
    /// Of its abilities those that are in use.
    let offloads: TunnelOffloads

    /// Binds to `address` and `port` in the network namespace of the calling thread. Path MTU discovery stays as the
    /// kernel has it by default, as flannel leaves it: the outer packet forbids fragments while it fits the known path.
    ///
    /// - Parameters:
    ///   - shared: lets several sockets of this process share the port.
    ///   - buffer: bytes, for each direction; what the kernel allows at least.
    init(
        _ address: IPAddress, port: UInt16, shared: Bool, buffer: Int, wanted: TunnelOffloads
    ) throws(SystemCallError) {
        let family = address.isIPv6 ? AF_INET6 : AF_INET
        let kind = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let subject = "\(address) port \(port)"
        let raw = try systemCall("socket", subject) { socket(family, kind, 0) }
        let descriptor = OwnedDescriptor(owning: raw)
        if address.isIPv6 { try Self.set(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1, "IPV6_V6ONLY") }
        if shared { try Self.set(raw, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT") }
        for (forced, plain) in [(SO_RCVBUFFORCE, SO_RCVBUF), (SO_SNDBUFFORCE, SO_SNDBUF)] {
            let size = CInt(clamping: buffer)
            // The first needs CAP_NET_ADMIN, the second is capped by a sysctl: neither is a reason not to run.
            if !Self.trySet(raw, SOL_SOCKET, forced, size) { _ = Self.trySet(raw, SOL_SOCKET, plain, size) }
        }
        var offloads: TunnelOffloads = []
        if wanted.contains(.datagramSegmentation), Self.trySet(raw, SOL_UDP, UDP_SEGMENT, 0) {
            offloads.insert(.datagramSegmentation)
        }
        if wanted.contains(.datagramMerging), Self.trySet(raw, SOL_UDP, UDP_GRO, 1) {
            offloads.insert(.datagramMerging)
        }
        var storage = sockaddr_storage()
        let length = SocketAddress.write(address, port, to: &storage)
        try systemCall("bind", subject) {
            withUnsafeBytes(of: &storage) { bytes in
                bytes.withMemoryRebound(to: sockaddr.self) { Glibc.bind(raw, $0.baseAddress, length) }
            }
        }
        self.descriptor = descriptor
        self.offloads = offloads
    }

    private static func trySet(_ raw: CInt, _ level: CInt, _ option: CInt, _ value: CInt) -> Bool {
        var value = value
        return setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<CInt>.size)) == 0
    }

    private static func set(
        _ raw: CInt, _ level: CInt, _ option: CInt, _ value: CInt, _ name: String
    ) throws(SystemCallError) {
        try systemCall("setsockopt", name) { trySet(raw, level, option, value) ? 0 : -1 }
    }
}
