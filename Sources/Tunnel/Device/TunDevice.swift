import CLinux
import Glibc
import LinuxSystem

/// One queue of a TUN device. The device outlives it.
struct TunDevice: ~Copyable, Sendable {
    let descriptor: OwnedDescriptor
    /// Of the device's abilities those that are in use.
    let offloads: TunnelOffloads

    /// Attaches to `name`, which is made when it is not there, in the network namespace of the calling thread.
    ///
    /// - Parameter wanted: abilities to ask for; each that the kernel refuses is left out.
    init(_ name: InterfaceName, multiQueue: Bool, wanted: TunnelOffloads) throws(SystemCallError) {
        let descriptor = try OwnedDescriptor(path: "/dev/net/tun", flags: O_RDWR | O_NONBLOCK)
        let plain = IFF_TUN | IFF_NO_PI | (multiQueue ? IFF_MULTI_QUEUE : 0)
        var offloads: TunnelOffloads = []
        if wanted.contains(.virtioHeader) {
            do {
                try Self.attach(descriptor, name, flags: plain | IFF_VNET_HDR)
                offloads.insert(.virtioHeader)
            } catch {
                // A kernel without the flag says EINVAL, as it does for another device of that name: the second try tells.
                guard error.code == EINVAL else { throw error }
            }
        }
        if offloads.isEmpty { try Self.attach(descriptor, name, flags: plain) }
        try systemCall("ioctl TUNSETPERSIST", name.text) { ioctl(descriptor.rawValue, UInt(CLINUX_TUNSETPERSIST), 1) }
        if offloads.contains(.virtioHeader) {
            var size = CInt(MemoryLayout<virtio_net_hdr>.size)
            try systemCall("ioctl TUNSETVNETHDRSZ", name.text) {
                ioctl(descriptor.rawValue, UInt(CLINUX_TUNSETVNETHDRSZ), &size)
            }
            offloads.formUnion(Self.negotiate(descriptor, wanted))
        }
        self.descriptor = descriptor
        self.offloads = offloads
    }

    private static func attach(
        _ descriptor: borrowing OwnedDescriptor, _ name: InterfaceName, flags: CInt
    ) throws(SystemCallError) {
        var request = ifreq()
        withUnsafeMutableBytes(of: &request) { bytes in
            // The name is at most 15 bytes, and the rest of its field stays zero.
            bytes.copyBytes(from: name.text.utf8)
            bytes.storeBytes(
                of: Int16(truncatingIfNeeded: flags), toByteOffset: Int(IFNAMSIZ), as: Int16.self)
        }
        let raw = descriptor.rawValue
        try systemCall("ioctl TUNSETIFF", name.text) { ioctl(raw, UInt(CLINUX_TUNSETIFF), &request) }
    }

    /// Asks for as much as the kernel takes. Nothing is asked for in parts that it could refuse half.
    private static func negotiate(_ descriptor: borrowing OwnedDescriptor, _ wanted: TunnelOffloads) -> TunnelOffloads {
        let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6
        let udp = TUN_F_USO4 | TUN_F_USO6
        var choices: [(UInt32, TunnelOffloads)] = []
        if wanted.contains(.tcpSegmentation) {
            if wanted.contains(.udpSegmentation) {
                choices.append((UInt32(tcp | TUN_F_TSO_ECN | udp), [.tcpSegmentation, .udpSegmentation]))
            }
            choices.append((UInt32(tcp | TUN_F_TSO_ECN), .tcpSegmentation))
            choices.append((UInt32(tcp), .tcpSegmentation))
        }
        choices += [(UInt32(TUN_F_CSUM), []), (0, [])]
        for (flags, offloads) in choices
        where ioctl(descriptor.rawValue, UInt(CLINUX_TUNSETOFFLOAD), CInt(flags)) == 0 {
            return offloads
        }
        return []
    }
}
