import CLinux
import Glibc
import LinuxSystem
import Netlink

/// A process by what the kernel does not give to another: its number with its start, within one boot.
public struct ProcessIdentity: Hashable, Codable, Sendable {
    /// As this process sees it.
    public var id: Int32
    /// Clock ticks from the boot to its start.
    public var start: UInt64

    /// All fields as given.
    public init(id: Int32, start: UInt64) {
        self.id = id
        self.start = start
    }

    /// The process that has the number now; `nil` when there is none, or it has ended.
    public init?(living id: Int32) {
        // The name in parentheses may hold anything, so fields are counted from its end. Field 3 is the state, 22 the start.
        guard let text = try? TextFile.read("/proc/\(id)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]), !["Z", "X", "x"].contains(fields[0]) else {
            return nil
        }
        self.init(id: id, start: start)
    }

    /// Whether it has not ended.
    public var isAlive: Bool { ProcessIdentity(living: id) == self }
}

/// A network namespace that is held open, so that no later process or namespace of the same number or name is taken for it.
final class ContainerHandle: Sendable {
    /// The process that the namespace was found by; `nil` for a named one.
    let process: ProcessIdentity?
    private let namespaceDescriptor: OwnedDescriptor
    let identity: NamespaceIdentity

    /// - Throws: ``AttachError`` when the process has ended.
    init(process id: Int32) throws(AttachError) {
        guard let process = ProcessIdentity(living: id) else {
            throw AttachError("process \(id) does not run", remedy: "start the container first")
        }
        let path = "/proc/\(id)/ns/net"
        do {
            namespaceDescriptor = try OwnedDescriptor(path: path, flags: O_RDONLY)
        } catch {
            throw AttachError("\(error)")
        }
        // Had the process ended before the file was opened, its number might be another's by then, with another start.
        guard process.isAlive else {
            throw AttachError("process \(id) has just ended", remedy: "start the container first")
        }
        self.process = process
        identity = try NamespaceIdentity(namespaceDescriptor.rawValue, path: path)
    }

    /// - Throws: ``AttachError`` when there is no such namespace.
    init(namespace name: String) throws(AttachError) {
        let path = "/run/netns/\(name)"
        do {
            namespaceDescriptor = try OwnedDescriptor(path: path, flags: O_RDONLY)
        } catch {
            throw AttachError("there is no network namespace \(name)", remedy: "ip netns lists them")
        }
        process = nil
        identity = try NamespaceIdentity(namespaceDescriptor.rawValue, path: path)
    }

    /// The namespace, by the descriptor that this handle holds.
    var namespace: NetworkNamespace { NetworkNamespace(path: "/proc/self/fd/\(namespaceDescriptor.rawValue)") }

    /// For a netlink request, while this handle lives.
    var linkNamespace: LinkNamespace { .descriptor(namespaceDescriptor.rawValue) }
}

/// A namespace as the kernel tells it from others while it lives.
public struct NamespaceIdentity: Hashable, Codable, Sendable {
    /// The device of the namespace file system.
    public var device: UInt64
    /// The inode there.
    public var inode: UInt64

    /// - Throws: ``AttachError`` when the file is no namespace's.
    init(_ descriptor: CInt, path: String) throws(AttachError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw AttachError("\(path): \(Errno.message(errno))") }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    /// Of the file at a path; `nil` when there is none.
    public init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}
