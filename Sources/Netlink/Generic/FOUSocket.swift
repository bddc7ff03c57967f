import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// FOU ports over generic netlink. It asks for nothing until it is first used.
public final class FOUSocket: FOUNetlink {
    private struct Connection {
        var socket: GenericNetlinkSocket
        /// The module may come and go; its number is looked up again when it is not known.
        var family: GenericFamily?
    }

    private let namespace: NetworkNamespace?
    private let connection = Mutex<Connection?>(nil)

    /// - Parameter namespace: `nil` for that of the thread which first uses it.
    public init(namespace: NetworkNamespace? = nil) { self.namespace = namespace }

    /// All ports of both families, in one dump.
    public func fouPorts() throws(NetlinkError) -> [FOUPort]? {
        try withFamily { socket, family throws(NetlinkError) in
            let replies = try socket.dump(FOURequest.get, of: family)
            do throws(MalformedMessage) {
                var ports: [FOUPort] = []
                for reply in replies { ports.append(try FOUPort(reply.attributes)) }
                return ports
            } catch {
                throw .malformed(error)
            }
        }
    }

    /// One command; nothing is changed when it throws. A new port has the kernel load the module, as nothing else does.
    public func execute(_ request: FOURequest) throws(NetlinkError) {
        if case .add(let port) = request {
            if try fouPorts() == nil { KernelModule.load("fou") }
            // What the tunnels need whose packets come in by the port.
            if port.family == .v6 { KernelModule.load("fou6") }
        }
        let done: Void? = try withFamily { socket, family throws(NetlinkError) in
            let failures = try socket.execute([request.command], of: family)
            if let failure = failures.first {
                throw .refused(
                    KernelRefusal(
                        code: failure.refusal.code, message: failure.refusal.message, offset: failure.refusal.offset,
                        subject: "\(request)"))
            }
        }
        guard done != nil else { throw .refused(KernelRefusal(code: EOPNOTSUPP, subject: "\(request)")) }
    }

    /// - Returns: `nil` when the kernel has no such family.
    private func withFamily<Result>(
        _ body: (GenericNetlinkSocket, GenericFamily) throws(NetlinkError) -> Result
    ) throws(NetlinkError) -> Result? {
        try connection.withLock { connection throws(NetlinkError) in
            var open: Connection
            if let connection {
                open = connection
            } else {
                open = Connection(socket: try GenericNetlinkSocket(namespace: namespace))
            }
            defer { connection = open }
            do throws(NetlinkError) {
                let family: GenericFamily
                if let known = open.family {
                    family = known
                } else {
                    family = try open.socket.family(named: FOU_GENL_NAME)
                    open.family = family
                }
                return try body(open.socket, family)
            } catch {
                // The number goes when the module is unloaded, and another may get it.
                open.family = nil
                if case .refused(let refusal) = error, refusal.code == ENOENT, refusal.subject.hasPrefix("look up") {
                    return nil
                }
                throw error
            }
        }
    }
}

extension FOURequest {
    static let get = GenericCommand(command: UInt8(FOU_CMD_GET))

    var command: GenericCommand {
        switch self {
        case .add(let port): GenericCommand(command: UInt8(FOU_CMD_ADD), attributes: port.attributes(isNew: true))
        case .delete(let port):
            GenericCommand(command: UInt8(FOU_CMD_DEL), attributes: port.attributes(isNew: false))
        }
    }
}
