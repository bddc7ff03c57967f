import CLinux
import LinuxSystem
import Synchronization

/// Generic netlink in one namespace: what WireGuard, FOU, ethtool and others are configured by.
///
/// Calls wait for the kernel and run one after another.
public final class GenericNetlinkSocket: Sendable {
    private let socket: Mutex<NetlinkSocket>

    /// - Parameter namespace: `nil` for the calling thread's.
    /// - Throws: ``NetlinkError/system(_:)`` when the namespace or the socket cannot be opened.
    public init(namespace: NetworkNamespace? = nil) throws(NetlinkError) {
        socket = Mutex(try NetlinkSocket(protocol: NETLINK_GENERIC, namespace: namespace))
    }

    /// Looks a family up; where its module can be loaded on demand, the kernel does so.
    ///
    /// - Throws: ``NetlinkError/refused(_:)`` with ENOENT when the kernel has no such family.
    public func family(named name: String) throws(NetlinkError) -> GenericFamily {
        let controller = GenericFamily(name: "nlctrl", id: UInt16(GENL_ID_CTRL), version: 2)
        let request = GenericCommand(
            command: UInt8(CTRL_CMD_GETFAMILY),
            attributes: [Attribute(type: UInt16(CTRL_ATTR_FAMILY_NAME), string: name)])
        let replies = try send(request, to: controller, subject: "look up generic netlink family \(name)")
        guard let reply = replies.first else {
            throw .malformed(MalformedMessage(.badValue("answer: no description of family \(name)")))
        }
        do throws(MalformedMessage) {
            return try GenericFamily(reply.attributes)
        } catch {
            throw .malformed(error)
        }
    }

    /// Sends one command.
    ///
    /// - Returns: the kernel's replies, none for most commands that change something.
    /// - Throws: ``NetlinkError/refused(_:)`` when the kernel refuses.
    public func send(_ command: GenericCommand, to family: GenericFamily) throws(NetlinkError) -> [GenericCommand] {
        try send(command, to: family, subject: "\(family.name) command \(command.command)")
    }

    private func send(
        _ command: GenericCommand, to family: GenericFamily, subject: String
    ) throws(NetlinkError) -> [GenericCommand] {
        var replies: [GenericCommand] = []
        var refusal: KernelRefusal?
        try socket.withLock { socket throws(NetlinkError) in
            try socket.exchange(count: 1, subject: subject) { _, writer, sequence in
                command.encode(to: &writer, family: family, sequence: sequence)
            } reply: { type, payload throws(MalformedMessage) in
                if type == family.id { replies.append(try GenericCommand(payload, of: family)) }
            } refused: { _, answer, _ in
                refusal = KernelRefusal(
                    code: answer.code, message: answer.message, offset: answer.offset, subject: subject)
            }
        }
        if let refusal { throw .refused(refusal) }
        return replies
    }

    /// Carries out commands in order and goes on past one that fails; replies are thrown away.
    ///
    /// - Returns: the commands that failed.
    public func execute(
        _ commands: [GenericCommand], of family: GenericFamily
    ) throws(NetlinkError) -> [GenericFailure] {
        var failures: [GenericFailure] = []
        try socket.withLock { socket throws(NetlinkError) in
            try socket.exchange(count: commands.count, subject: "batch of \(commands.count) \(family.name) commands") {
                position, writer, sequence in
                commands[position].encode(to: &writer, family: family, sequence: sequence)
            } refused: { position, answer, _ in
                let refusal = KernelRefusal(
                    code: answer.code, message: answer.message, offset: answer.offset,
                    subject: "\(family.name) command \(commands[position].command)")
                failures.append(GenericFailure(position: position, refusal: refusal))
            }
        }
        failures.sort { $0.position < $1.position }
        return failures
    }

    /// Reads all objects that a command lists; begins again when they changed meanwhile.
    public func dump(_ command: GenericCommand, of family: GenericFamily) throws(NetlinkError) -> [GenericCommand] {
        let subject = "dump \(family.name) command \(command.command)"
        return try socket.withLock { socket throws(NetlinkError) in
            try socket.dump(Int(family.id), subject: subject) { writer in
                command.encodePayload(to: &writer, family: family)
            } decode: { type, payload throws(MalformedMessage) in
                type == family.id ? try GenericCommand(payload, of: family) : nil
            }
        }
    }
}

extension GenericCommand {
    init(_ payload: RawSpan, of family: GenericFamily) throws(MalformedMessage) {
        let header: genlmsghdr = try payload.load()
        self.init(command: header.cmd)
        let start = MemoryLayout<genlmsghdr>.size + Int(family.headerSize)
        try payload.forEachAttribute(from: start) { type, value in attributes.append(Attribute(type, value)) }
    }

    fileprivate func encode(to writer: inout MessageWriter, family: GenericFamily, sequence: UInt32) {
        writer.message(type: Int(family.id), flags: NLM_F_REQUEST, sequence: sequence) { writer in
            encodePayload(to: &writer, family: family)
        }
    }

    fileprivate func encodePayload(to writer: inout MessageWriter, family: GenericFamily) {
        writer.append(genlmsghdr(cmd: command, version: UInt8(truncatingIfNeeded: family.version), reserved: 0))
        for _ in 0..<(Int(family.headerSize) + 3) / 4 { writer.append(UInt32(0)) }
        writer.attributes(attributes)
    }
}

extension GenericFamily {
    /// From the attributes of the controller's answer.
    fileprivate init(_ attributes: [Attribute]) throws(MalformedMessage) {
        self.init(name: "", id: 0, version: 0)
        for attribute in attributes {
            switch Int(attribute.number) {
            case CTRL_ATTR_FAMILY_NAME: name = attribute.string
            case CTRL_ATTR_FAMILY_ID: id = try attribute.integer()
            case CTRL_ATTR_VERSION: version = try attribute.integer()
            case CTRL_ATTR_HDRSIZE: headerSize = try attribute.integer()
            case CTRL_ATTR_MCAST_GROUPS:
                for group in try attribute.nested() {
                    let fields = try group.nested()
                    guard
                        let name = fields.first(number: UInt16(CTRL_ATTR_MCAST_GRP_NAME)),
                        let id = fields.first(number: UInt16(CTRL_ATTR_MCAST_GRP_ID))
                    else { continue }
                    multicastGroups[name.string] = try id.integer()
                }
            default: break
            }
        }
        guard id != 0 else { throw MalformedMessage(.badValue("answer: generic netlink family without id")) }
    }
}
