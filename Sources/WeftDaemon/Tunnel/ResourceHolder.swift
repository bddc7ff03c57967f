import Glibc
import IPNetwork
import LinuxSystem

/// Finds the process that has what the tunnel needs, for the error that names it.
enum ResourceHolder {
    /// Who listens on a UDP port: `flanneld (pid 812)`, or the kernel itself; `nil` when it cannot be found out.
    static func ofUDPPort(_ port: UInt16) -> String? {
        let wanted = ":" + hexadecimal(port)
        for table in ["udp", "udp6"] {
            guard let text = try? TextFile.read("/proc/self/net/\(table)") else { continue }
            for line in text.split(separator: "\n").dropFirst() {
                // sl, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode
                let words = line.split(separator: " ")
                guard words.count > 9, words[1].hasSuffix(wanted) else { continue }
                // A socket of the kernel's own has no inode.
                if words[9] == "0" { return "the kernel's: see ip fou show, ip -d link show type vxlan, wg show" }
                let holder = process { folder, entry in link("\(folder)/fd/\(entry)") == "socket:[\(words[9])]" }
                if let holder { return holder }
            }
        }
        return nil
    }

    /// Who is attached to a TUN device.
    static func ofTun(_ name: InterfaceName) -> String? {
        let namespace = link("/proc/self/ns/net")
        return process { folder, entry in
            // Other namespaces have devices of that name too.
            guard
                link("\(folder)/fd/\(entry)") == "/dev/net/tun", link("\(folder)/ns/net") == namespace
            else { return false }
            let information = (try? TextFile.read("\(folder)/fdinfo/\(entry)", limit: 4096)) ?? ""
            return information.split(separator: "\n").contains { $0 == "iff:\t\(name)" }
        }
    }

    private static func hexadecimal(_ port: UInt16) -> String {
        let digits = String(port, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// The first other process with a descriptor that `isHeld` is true of.
    private static func process(_ isHeld: (_ folder: String, _ descriptor: String) -> Bool) -> String? {
        for pid in Folder.names(in: "/proc") where Int32(pid).map({ $0 != getpid() }) ?? false {
            let folder = "/proc/\(pid)"
            guard Folder.names(in: "\(folder)/fd").contains(where: { isHeld(folder, $0) }) else { continue }
            let name = (try? TextFile.read("\(folder)/comm", limit: 64))?.prefix { $0 != "\n" } ?? "a process"
            return "\(name) (pid \(pid))"
        }
        return nil
    }

    private static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
