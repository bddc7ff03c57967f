import NIOPosix

/// The thread that carries the connections to etcd.
enum EventLoops {
    /// One thread is plenty for a few connections, and each costs resident memory. Never shut down: it belongs to the
    /// process, as a stopped group could not serve a store that is made later.
    static let shared = MultiThreadedEventLoopGroup(numberOfThreads: 1)
}
