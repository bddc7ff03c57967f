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
        guard let address, let target = Self.target(address),
            let socket = try? UnixAddress.socket(CInt(SOCK_DGRAM.rawValue), address)
        else { return }
        let text = Array(message.utf8)
        _ = target.withSocketAddress { address, length in
            sendto(socket.rawValue, text, text.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT), address, length)
        }
    }

    /// A leading @ stands for the zero byte of a name without a file.
    private static func target(_ address: String) -> UnixAddress? {
        if address.hasPrefix("@") { return try? UnixAddress(abstract: String(address.dropFirst())) }
        return address.hasPrefix("/") ? try? UnixAddress(path: address) : nil
    }
}
