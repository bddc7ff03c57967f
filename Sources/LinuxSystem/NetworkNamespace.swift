import CLinux
import Glibc

/// A network namespace, by the file that names it.
public struct NetworkNamespace: Hashable, Sendable {
    /// For example `/run/netns/blue` or `/proc/4711/ns/net`.
    public let path: String

    /// Opens nothing: a missing file shows when the namespace is used.
    public init(path: String) { self.path = path }

    /// A namespace made by `ip netns add`.
    public init(named name: String) { path = "/run/netns/\(name)" }

    /// The namespace that a process is in.
    public init(ofProcess pid: Int32) { path = "/proc/\(pid)/ns/net" }

    /// Runs `body` inside the namespace, on a thread made for it, and returns what it returns.
    ///
    /// `setns` moves one thread, and a task may hop between threads; so `body` is synchronous and what it opens (a
    /// socket) keeps belonging to the namespace after it has returned.
    ///
    /// - Throws: ``SystemCallError`` when the namespace cannot be entered, or what `body` throws.
    public func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        let path = path
        return try Thread.run {
            let descriptor = try OwnedDescriptor(path: path, flags: O_RDONLY)
            try systemCall("setns", path) { setns(descriptor.rawValue, CLONE_NEWNET) }
            return try body()
        }
    }
}

/// A thread of its own for work that changes what is per thread in Linux.
enum Thread {
    /// Runs `body` on a new thread and waits for it.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        let box = Box(body: body)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<AnyWork>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged<AnyWork>.passRetained(box).toOpaque())
        guard code == 0 else {
            Unmanaged<AnyWork>.passUnretained(box).release()
            throw SystemCallError(code: code, call: "pthread_create")
        }
        pthread_join(thread, nil)
        guard let result = box.result else { throw SystemCallError(code: ESRCH, call: "pthread_join") }
        return try result.get()
    }

    private class AnyWork {
        func run() {}
    }

    /// Written by the new thread before it ends and read after `pthread_join`, which orders the two.
    private final class Box<Value>: AnyWork {
        let body: () throws -> Value
        var result: Result<Value, any Error>?

        init(body: @escaping () throws -> Value) { self.body = body }

        override func run() { result = Result { try body() } }
    }
}
