import Glibc
import IPNetwork
import Netlink
import Synchronization

/// FOU ports in memory, that behave as Linux's.
public final class FakeFOU: FOUNetlink {
    private struct Contents {
        var ports: [FOUPort]? = []
        var taken: Set<UInt16> = []
        var failure: CInt?
        var journal: [FOURequest] = []
    }

    private let contents = Mutex(Contents())

    /// A kernel with the module and no ports.
    public init() {}

    /// What there is; `nil` for a kernel without the module. Set it as another program would.
    public var ports: [FOUPort]? {
        get { contents.withLock { $0.ports } }
        set { contents.withLock { $0.ports = newValue } }
    }

    /// UDP ports that sockets of other programs have.
    public var taken: Set<UInt16> {
        get { contents.withLock { $0.taken } }
        set { contents.withLock { $0.taken = newValue } }
    }

    /// The error number that the next request is refused with.
    public var failure: CInt? {
        get { contents.withLock { $0.failure } }
        set { contents.withLock { $0.failure = newValue } }
    }

    /// Every request made, oldest first.
    public var journal: [FOURequest] { contents.withLock { $0.journal } }

    /// As set, or as requests have made it.
    public func fouPorts() throws(NetlinkError) -> [FOUPort]? { ports }

    /// As the kernel would; each request is put in the journal.
    public func execute(_ request: FOURequest) throws(NetlinkError) {
        let code: CInt? = contents.withLock { contents in
            contents.journal.append(request)
            if let failure = contents.failure {
                contents.failure = nil
                return failure
            }
            return Self.carryOut(request, &contents)
        }
        if let code { throw .refused(KernelRefusal(code: code, subject: "\(request)")) }
    }

    private static func carryOut(_ request: FOURequest, _ contents: inout Contents) -> CInt? {
        guard var ports = contents.ports else { return EOPNOTSUPP }
        switch request {
        case .add(let port):
            let isHeld = ports.contains { $0.port == port.port && $0.family == port.family }
            if isHeld || contents.taken.contains(port.port) { return EADDRINUSE }
            ports.append(port)
        case .delete(let port):
            guard let place = ports.firstIndex(where: { $0.port == port.port && $0.family == port.family }) else {
                return EINVAL
            }
            ports.remove(at: place)
        }
        contents.ports = ports
        return nil
    }
}
