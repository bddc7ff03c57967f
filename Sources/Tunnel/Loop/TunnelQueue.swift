import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// One queue of the device with the sockets that belong to it.
final class TunnelQueue: Sendable {
    private struct Descriptors: ~Copyable, Sendable {
        let device: TunDevice
        let v4: DatagramSocket?
        let v6: DatagramSocket?
    }

    private let descriptors: Mutex<Descriptors?>
    /// What of device and sockets is in use: of the sockets' only what both can do.
    let offloads: TunnelOffloads
    /// Valid until ``close()``, as are the sockets; -1 for a family that has none.
    let deviceDescriptor: CInt
    let socketV4: CInt
    let socketV6: CInt

    init(device: consuming TunDevice, v4: consuming DatagramSocket?, v6: consuming DatagramSocket?) {
        var sockets: TunnelOffloads = [.datagramSegmentation, .datagramMerging]
        var numbers: (v4: CInt, v6: CInt) = (-1, -1)
        if let offloads = v4?.offloads { sockets.formIntersection(offloads) }
        if let offloads = v6?.offloads { sockets.formIntersection(offloads) }
        if let raw = v4?.descriptor.rawValue { numbers.v4 = raw }
        if let raw = v6?.descriptor.rawValue { numbers.v6 = raw }
        offloads = device.offloads.union(sockets)
        deviceDescriptor = device.descriptor.rawValue
        socketV4 = numbers.v4
        socketV6 = numbers.v6
        descriptors = Mutex(Descriptors(device: device, v4: v4, v6: v6))
    }

    /// Whether the queue is of the device that has `name` now, and that device knows of it; `nil` once closed.
    func isAttached(to name: InterfaceName) -> Bool? {
        descriptors.withLock { descriptors -> Bool? in
            guard descriptors != nil else { return nil }
            var request = ifreq()
            guard
                ioctl(deviceDescriptor, UInt(CLINUX_TUNGETIFF), &request) == 0, Self.name(in: request) == name.text,
                ioctl(max(socketV4, socketV6), UInt(SIOCGIFFLAGS), &request) == 0
            else { return false }
            let flags = withUnsafeBytes(of: request) { $0.load(fromByteOffset: Int(IFNAMSIZ), as: UInt16.self) }
            let isUp = Int(flags) & Int(IFF_UP) != 0
            // A TUN device has a carrier as long as a process has it.
            return !isUp || Int(flags) & Int(IFF_RUNNING) != 0
        }
    }

    private static func name(in request: ifreq) -> String {
        withUnsafeBytes(of: request) { String(decoding: $0.prefix(Int(IFNAMSIZ)).prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// Closes device and sockets, once no loop uses them.
    func close() { descriptors.withLock { $0 = nil } }
}
