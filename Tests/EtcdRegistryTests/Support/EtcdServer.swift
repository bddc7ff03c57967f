import Foundation
import Synchronization

/// An etcd of the test's own on loopback, with free ports and a directory of its own.
final class EtcdServer: Sendable {
    static let path = "/usr/bin/etcd"
    static var isInstalled: Bool { access(path, X_OK) == 0 && access("/usr/bin/etcdctl", X_OK) == 0 }

    let name: String
    let clientPort: Int
    let peerPort: Int
    let scheme: String
    let directory: String
    private let options: [String]
    private let process = Mutex<pid_t?>(nil)

    var clientURL: String { "\(scheme)://127.0.0.1:\(clientPort)" }
    var peerURL: String { "http://127.0.0.1:\(peerPort)" }

    init(
        name: String = "default", scheme: String = "http", enablesV2: Bool = true, options: [String] = []
    ) throws {
        self.name = name
        self.scheme = scheme
        self.options = (enablesV2 ? ["--enable-v2"] : []) + options
        clientPort = try freePort()
        peerPort = try freePort()
        directory = try temporaryDirectory("weft-etcd")
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Starts it, on the data of an earlier run if there was one.
    func start(cluster: [EtcdServer] = [], waits: Bool = true) async throws {
        let members = cluster.isEmpty ? [self] : cluster
        let arguments =
            [
                Self.path, "--name", name, "--data-dir", "\(directory)/data", "--listen-client-urls", clientURL,
                "--advertise-client-urls", clientURL, "--listen-peer-urls", peerURL,
                "--initial-advertise-peer-urls", peerURL, "--initial-cluster",
                members.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ","), "--logger", "zap", "--log-outputs",
                "\(directory)/log", "--unsafe-no-fsync",
            ] + options
        let pid = try spawn(arguments)
        process.withLock { $0 = pid }
        Spawned.all.withLock { _ = $0.insert(pid) }
        guard waits else { return }
        try await eventually("etcd at \(clientURL) answers") { isListening(self.clientPort) }
    }

    func stop(signal: Int32 = SIGKILL) {
        guard
            let pid = process.withLock({ pid in
                defer { pid = nil }
                return pid
            })
        else { return }
        kill(pid, signal)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        Spawned.all.withLock { _ = $0.remove(pid) }
    }

    var isRunning: Bool { process.withLock { $0 != nil } }

    /// Stops every thread of it, so that connections stay but nobody answers.
    func freeze() { _ = process.withLock { $0.map { kill($0, SIGSTOP) } } }
    func thaw() { _ = process.withLock { $0.map { kill($0, SIGCONT) } } }

    @discardableResult
    func control(_ arguments: String...) throws -> String {
        try run(["/usr/bin/etcdctl", "--endpoints", clientURL] + arguments, environment: ["ETCDCTL_API": "3"])
    }

    /// The same over the v2 API.
    @discardableResult
    func control2(_ arguments: String...) throws -> String {
        try run(["/usr/bin/etcdctl", "--endpoints", clientURL] + arguments, environment: ["ETCDCTL_API": "2"])
    }
}

/// One etcd for all tests that leave it running; each test has a prefix of its own in it.
actor SharedEtcd {
    static let shared = SharedEtcd()
    private var starting: Task<EtcdServer, any Error>?

    func server() async throws -> EtcdServer {
        if let starting { return try await starting.value }
        let task = Task {
            let server = try EtcdServer(options: ["--max-txn-ops", "10000"])
            try await server.start()
            return server
        }
        starting = task
        return try await task.value
    }

    static func server() async throws -> EtcdServer { try await shared.server() }
}

/// What is to be killed when the test process ends early.
enum Spawned {
    static let all: Mutex<Set<pid_t>> = {
        atexit { Spawned.all.withLock { for pid in $0 { kill(pid, SIGKILL) } } }
        return Mutex([])
    }()
}

struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// - Parameter output: where its standard output and error go; nowhere when it is `nil`.
func spawn(_ arguments: [String], environment: [String: String] = [:], output: Int32? = nil) throws -> pid_t {
    var pid: pid_t = 0
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
    for descriptor: Int32 in 1...2 {
        if let output {
            posix_spawn_file_actions_adddup2(&actions, output, descriptor)
        } else {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
    }
    var pointers = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    var settings = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for setting in settings { free(setting) } }
    let code = posix_spawn(&pid, arguments[0], &actions, nil, &pointers, &settings)
    guard code == 0 else { throw Failure(description: "can't start \(arguments[0]): \(code)") }
    return pid
}

/// Runs a command to its end. Foundation's own way traps when a signal comes while it reads.
@discardableResult
func run(_ arguments: [String], environment: [String: String] = [:]) throws -> String {
    // A file and not a pipe, whose end a server that is started at the same moment would keep open.
    let path = "\(NSTemporaryDirectory())/weft-output-\(UUID().uuidString)"
    let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Failure(description: "\(path): \(errno)") }
    defer { close(file) }
    unlink(path)
    let pid = try spawn(arguments, environment: environment, output: file)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    var data: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = pread(file, &buffer, buffer.count, data.count)
        guard count > 0 else { break }
        data += buffer[..<count]
    }
    let text = String(decoding: data, as: UTF8.self)
    guard status == 0 else { throw Failure(description: "\(arguments.joined(separator: " ")): \(text)") }
    return text
}

func temporaryDirectory(_ prefix: String) throws -> String {
    var template = Array("\(NSTemporaryDirectory())/\(prefix)-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp: \(errno)") }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
}

private func socketAddress(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    address.sin_port = UInt16(port).bigEndian
    return address
}

/// Below the kernel's own choice of ports: whoever connects in the meantime, to whatever, would be given one of those, and
/// one that connects to a stopped server again and again would at last meet itself.
func freePort() throws -> Int {
    for _ in 0..<1_000 {
        let port = Int.random(in: 10_000..<32_000)
        guard GivenPorts.all.withLock({ $0.insert(port).inserted }) else { continue }
        guard let (descriptor, _) = try? listeningSocket(port) else { continue }
        close(descriptor)
        return port
    }
    throw Failure(description: "no free port")
}

/// In this process, whether they are in use yet or not.
private enum GivenPorts {
    static let all = Mutex<Set<Int>>([])
}

/// - Parameter port: of loopback; 0 for any that is free.
func listeningSocket(_ port: Int = 0) throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = socketAddress(port)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                ? getsockname(descriptor, $0, &length) : -1
        }
    }
    guard code == 0 else {
        close(descriptor)
        throw Failure(description: "no free port: \(errno)")
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
}

func connectedSocket(_ port: Int) -> Int32? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = socketAddress(port)
    let code = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    if code == 0 { return descriptor }
    close(descriptor)
    return nil
}

func isListening(_ port: Int) -> Bool {
    guard let descriptor = connectedSocket(port) else { return false }
    close(descriptor)
    return true
}

/// Polls a condition; throws when it has not come true within a minute.
func eventually(_ what: String, _ condition: @Sendable () async throws -> Bool) async throws {
    for _ in 0..<6_000 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw Failure(description: "did not come true: \(what)")
}
