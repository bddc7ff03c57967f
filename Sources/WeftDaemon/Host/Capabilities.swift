import CLinux
import LinuxSystem

/// The process's effective capabilities (capabilities(7)).
public struct Capabilities: Hashable, Sendable {
    private let effective: UInt64

    /// Those of this process; none when they cannot be read.
    public static var current: Capabilities {
        guard let status = try? TextFile.read("/proc/self/status") else { return Capabilities(effective: 0) }
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        let digits = line?.split(whereSeparator: { $0 == "\t" || $0 == " " }).last
        return Capabilities(effective: digits.flatMap { UInt64($0, radix: 16) } ?? 0)
    }

    private init(effective: UInt64) { self.effective = effective }

    /// CAP_NET_ADMIN: without it no interface, route or rule can be changed.
    public var canAdministerNetwork: Bool { effective >> UInt64(CAP_NET_ADMIN) & 1 == 1 }
}
