import CLinux
import Glibc

/// Sends ICMP errors for one loop, at most 1,000 a second.
struct ErrorSender {
    static let perSecond = 1000

    private let v4: CInt
    private let v6: CInt
    /// The two sources, 4 and 16 bytes, then the message.
    private let memory: UnsafeMutableRawPointer
    private var second: time_t = 0
    private var sentInSecond = 0

    init(v4: borrowing ErrorSocket?, v6: borrowing ErrorSocket?) {
        memory = .allocate(byteCount: 32 + ICMPError.limit, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 32 + ICMPError.limit)
        self.v4 = Self.adopt(v4, memory)
        self.v6 = Self.adopt(v6, memory + 4)
    }

    private static func adopt(_ socket: borrowing ErrorSocket?, _ memory: UnsafeMutableRawPointer) -> CInt {
        switch socket {
        case .some(let socket):
            for (index, byte) in socket.source.enumerated() {
                memory.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
            }
            return socket.descriptor.rawValue
        case .none:
            return -1
        }
    }

    func deallocate() { memory.deallocate() }

    /// Tells the source of `packet`, if anybody may be told.
    mutating func send(
        about packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) {
        let socket = header.isIPv6 ? v6 : v4
        guard socket >= 0, ICMPError.isAllowed(packet, header) else { return }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        if now.tv_sec != second {
            second = now.tv_sec
            sentInSecond = 0
        }
        guard sentInSecond < Self.perSecond else { return counters.add(.icmpLimited, 1) }
        sentInSecond += 1
        let source = PacketBytes(start: header.isIPv6 ? memory + 4 : memory, count: header.isIPv6 ? 16 : 4)
        let message = PacketBytes(start: memory + 32, count: ICMPError.limit)
        let length = ICMPError.write(about: packet, header, reason, from: source, to: message)
        if send(message.slice(0, length), to: packet, isIPv6: header.isIPv6, socket) { counters.add(.icmpSent, 1) }
    }

    private func send(_ message: PacketBytes, to packet: PacketBytes, isIPv6: Bool, _ socket: CInt) -> Bool {
        func call(_ address: UnsafeRawPointer, _ length: Int) -> Bool {
            sendto(
                socket, message.start, message.count, CInt(MSG_DONTWAIT),
                address.assumingMemoryBound(to: sockaddr.self), socklen_t(length)) == message.count
        }
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            withUnsafeMutableBytes(of: &address.sin6_addr) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: packet.slice(8, 16).start, count: 16))
            }
            return call(&address, MemoryLayout<sockaddr_in6>.size)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = packet.native32(12)
        return call(&address, MemoryLayout<sockaddr_in>.size)
    }
}
