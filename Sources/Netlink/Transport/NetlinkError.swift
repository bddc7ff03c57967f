import Glibc
import LinuxSystem

/// Why talking to the kernel failed as a whole. One request of a batch that the kernel refused is a
/// ``RequestFailure`` instead.
public enum NetlinkError: Error, Hashable, Sendable {
    /// The socket could not be opened, written or read.
    case system(SystemCallError)
    /// The kernel refused a dump or a single request.
    case refused(KernelRefusal)
    /// A message that does not have the form it should.
    case malformed(MalformedMessage)
    /// The tables changed under every attempt to read them.
    case dumpInterrupted(subject: String, attempts: Int)
    /// The receive buffer overran and the outcome of requests is not known: read the state again.
    case answersLost
    /// Nothing came back in time, in seconds.
    case noAnswer(subject: String, seconds: Int)
}

/// What the kernel said when it refused.
public struct KernelRefusal: Error, Hashable, Sendable {
    /// The error number, as in errno(3).
    public var code: CInt
    /// The kernel's own words (extended acknowledgement), where it has any.
    public var message: String?
    /// Where in the request the cause is, in bytes from the message's header.
    public var offset: Int?
    /// What was asked for.
    public var subject: String

    /// All fields as given.
    public init(code: CInt, message: String? = nil, offset: Int? = nil, subject: String) {
        self.code = code
        self.message = message
        self.offset = offset
        self.subject = subject
    }
}

/// A message that is truncated, mis-nested or holds impossible values.
public struct MalformedMessage: Error, Hashable, Sendable {
    /// What was wrong.
    public enum Reason: Hashable, Sendable {
        /// Something reaches over the end: `needed` bytes from `offset` on, of `available` in the buffer.
        case truncated(offset: Int, needed: Int, available: Int)
        /// A length field below the size of its own header.
        case badLength(offset: Int, length: Int)
        /// A value that cannot be: which attribute or field.
        case badValue(String)
    }

    /// What does not add up, and where.
    public var reason: Reason

    /// The reason as given.
    public init(_ reason: Reason) { self.reason = reason }
}

extension MalformedMessage: CustomStringConvertible {
    /// On one line, for the log.
    public var description: String {
        switch reason {
        case .truncated(let offset, let needed, let available):
            "malformed netlink message: \(needed) bytes at offset \(offset) of \(available)"
        case .badLength(let offset, let length):
            "malformed netlink message: length \(length) at offset \(offset)"
        case .badValue(let field):
            "malformed netlink message: impossible \(field)"
        }
    }
}

extension KernelRefusal: CustomStringConvertible {
    /// For example `dump routes: No such file or directory: ipv4: FIB table does not exist`.
    public var description: String { Self.text(subject: subject, code: code, message: message, offset: offset) }

    static func text(subject: String, code: CInt, message: String?, offset: Int?) -> String {
        var text = "\(subject): \(Errno.message(code))"
        if let message { text += ": \(message)" }
        if let offset { text += " (at byte \(offset) of the request)" }
        if let remedy = remedy(code, subject: subject) { text += "; \(remedy)" }
        return text
    }

    /// What an operator can do about it.
    private static func remedy(_ code: CInt, subject: String) -> String? {
        switch code {
        case EPERM, EACCES: "run as root, or grant CAP_NET_ADMIN in the network namespace"
        case EOPNOTSUPP where subject.contains("create vxlan"):
            "the kernel lacks VXLAN: modprobe vxlan, or use a kernel with CONFIG_VXLAN"
        case EOPNOTSUPP where subject.contains("create ipip"), EOPNOTSUPP where subject.contains("create ip6tnl"):
            "the kernel lacks IP tunnels: modprobe ipip ip6_tunnel, or install the package with the kernel's extra modules"
        case EINVAL where subject.contains("create ipip"), EINVAL where subject.contains("create ip6tnl"):
            "if the tunnel is over UDP, the kernel lacks Foo-over-UDP: modprobe fou fou6"
        case EOPNOTSUPP where subject.contains("FOU "):
            "the kernel lacks Foo-over-UDP: modprobe fou, or install the package with the kernel's extra modules"
        case EADDRINUSE where subject.contains("add FOU "), EALREADY where subject.contains("add FOU "):
            "another program has this UDP port: find it with ss -aunp and stop it, or choose another port"
        case EOPNOTSUPP where subject.contains("create "):
            "the kernel lacks this kind of interface: load its module"
        case EOPNOTSUPP where subject.contains("change link"):
            "the interface cannot change this while it lives: delete and make it again"
        case EAFNOSUPPORT: "the address family is off: is IPv6 disabled, or its module missing?"
        case ENODEV: "the interface is gone"
        case ENETUNREACH: "the gateway is not on a link of this host: use onlink, or add its prefix first"
        case ENETDOWN: "the interface is down: set it up first"
        case ENOBUFS, ENOMEM: "a table of the kernel is full: raise net.ipv4.neigh.default.gc_thresh3 or free memory"
        default: nil
        }
    }
}

extension NetlinkError: CustomStringConvertible {
    /// On one line, for the log.
    public var description: String {
        switch self {
        case .system(let error): "netlink: \(error)"
        case .refused(let refusal): "\(refusal)"
        case .malformed(let error): "\(error)"
        case .dumpInterrupted(let subject, let attempts):
            "\(subject): changed while being read, \(attempts) times; the state changes faster than it can be read"
        case .answersLost: "netlink: the receive buffer overran; read the state again"
        case .noAnswer(let subject, let seconds): "\(subject): no answer from the kernel in \(seconds) s"
        }
    }
}
