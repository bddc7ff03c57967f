import Glibc
import CLinux
import LinuxSystem

/// Tells systemd how the daemon is: the protocol of sd_notify(3), a datagram to the socket in NOTIFY_SOCKET.
public struct ServiceNotifier: Sendable {
    private let address: String?

    /// - Parameter address: NOTIFY_SOCKET's value; `nil` when no service manager listens.
    public init(address: String?) { self.address = address }

    /// The start is over (`READY=1`). `systemctl status` shows `status`.
    public func ready(status: String) { send("READY=1\nSTATUS=\(status)") }
    /// One line, which `systemctl status` shows.
    public func status(_ text: String) { send("STATUS=\(text)") }
    /// The process is about to end (`STOPPING=1`).
    public func stopping() { send("STOPPING=1") }

    private func send(_ message: String) {
        guard let address, address.hasPrefix("/") || address.hasPrefix("@") else { return }
        var socketAddress = sockaddr_un()
        socketAddress.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(address.utf8)
        // A leading @ stands for the zero byte of the abstract namespace.
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        guard bytes.count < MemoryLayout.size(ofValue: socketAddress.sun_path) else { return }
        withUnsafeMutableBytes(of: &socketAddress.sun_path) { $0.copyBytes(from: bytes) }
        guard
            let descriptor = try? systemCall(
                "socket", address,
                {
                    socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                })
        else { return }
        let owner = OwnedDescriptor(owning: descriptor)
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let text = Array(message.utf8)
        _ = withUnsafePointer(to: &socketAddress) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(owner.rawValue, text, text.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT), $0, length)
            }
        }
    }
}
