import CLinux
import Glibc
import LinuxSystem

extension OwnedDescriptor {
    /// A bound netlink socket.
    ///
    /// - Parameter namespace: `nil` for the calling thread's.
    static func netlink(
        protocol number: CInt, namespace: NetworkNamespace?, flags: CInt = 0
    ) throws(NetlinkError) -> OwnedDescriptor {
        let open: @Sendable () throws(SystemCallError) -> CInt = { () throws(SystemCallError) -> CInt in
            try systemCall("socket", "netlink protocol \(number)") {
                socket(AF_NETLINK, CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | flags, number)
            }
        }
        do {
            let descriptor = OwnedDescriptor(owning: try namespace.map { try $0.run(open) } ?? open())
            var address = sockaddr_nl()
            address.nl_family = sa_family_t(AF_NETLINK)
            try systemCall("bind", "netlink protocol \(number)") {
                withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(descriptor.rawValue, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
                    }
                }
            }
            return descriptor
        } catch let error as SystemCallError {
            throw .system(error)
        } catch {
            throw .system(SystemCallError(code: EINVAL, call: "socket", subject: "\(error)"))
        }
    }

    /// Sets a netlink option. A kernel that does not know it works without: errors then lack their text, or user
    /// space does the filtering.
    func enable(_ option: CInt) {
        var on: CInt = 1
        setsockopt(rawValue, SOL_NETLINK, option, &on, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Subscribes to a multicast group (`RTNLGRP_*`, `NFNLGRP_*`).
    func join(group: UInt32) throws(SystemCallError) {
        var group = group
        try systemCall("setsockopt", "netlink group \(group)") {
            setsockopt(
                rawValue, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, socklen_t(MemoryLayout<UInt32>.size))
        }
    }

    /// The address that the kernel gave the socket (`nl_pid`), which it puts on what the socket causes; `nil` when it
    /// does not say.
    var port: UInt32? {
        var address = sockaddr_nl()
        var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(rawValue, $0, &length) }
        }
        return code == 0 ? address.nl_pid : nil
    }

    /// Has the kernel keep back messages that the socket at `port` caused, by a filter on `nlmsg_pid`.
    func drop(causedBy port: UInt32) throws(SystemCallError) {
        let load = UInt16(BPF_LD | BPF_W | BPF_ABS)
        let jumpIfEqual = UInt16(BPF_JMP | BPF_JEQ | BPF_K)
        let answer = UInt16(BPF_RET | BPF_K)
        // The filter machine loads words in network order; netlink has them in the host's.
        var program = [
            sock_filter(code: load, jt: 0, jf: 0, k: UInt32(MemoryLayout<nlmsghdr>.offset(of: \.nlmsg_pid) ?? 12)),
            sock_filter(code: jumpIfEqual, jt: 0, jf: 1, k: port.bigEndian),
            sock_filter(code: answer, jt: 0, jf: 0, k: 0),
            sock_filter(code: answer, jt: 0, jf: 0, k: .max),
        ]
        try systemCall("setsockopt", "filter") {
            program.withUnsafeMutableBufferPointer { buffer in
                var filter = sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
                return setsockopt(
                    rawValue, SOL_SOCKET, SO_ATTACH_FILTER, &filter, socklen_t(MemoryLayout<sock_fprog>.size))
            }
        }
    }

    /// Asks for a receive buffer of `size` bytes, past the system's limit where CAP_NET_ADMIN allows it.
    ///
    /// - Returns: the size it has then.
    func growReceiveBuffer(to size: CInt) -> Int {
        var wanted = size
        let length = socklen_t(MemoryLayout<CInt>.size)
        if setsockopt(rawValue, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, length) != 0 {
            setsockopt(rawValue, SOL_SOCKET, SO_RCVBUF, &wanted, length)
        }
        var actual: CInt = 0
        var actualLength = length
        return getsockopt(rawValue, SOL_SOCKET, SO_RCVBUF, &actual, &actualLength) == 0 ? Int(actual) : 0
    }
}
