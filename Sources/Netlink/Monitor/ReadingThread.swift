import Glibc
import LinuxSystem

/// A detached thread for work that waits in system calls, off the cooperative pool.
enum ReadingThread {
    protocol Work: AnyObject, Sendable {
        func run()
    }

    private final class Box: Sendable {
        let work: any Work

        init(work: any Work) { self.work = work }
    }

    /// Runs `work` on a thread that keeps it alive until it returns. Signals go to other threads.
    static func start(_ work: any Work) throws(SystemCallError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        let box = Unmanaged.passRetained(Box(work: work))
        var everySignal = sigset_t()
        var previous = sigset_t()
        sigfillset(&everySignal)
        pthread_sigmask(SIG_SETMASK, &everySignal, &previous)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().work.run() }
                return nil
            }, box.toOpaque())
        pthread_sigmask(SIG_SETMASK, &previous, nil)
        guard code == 0 else {
            box.release()
            throw SystemCallError(code: code, call: "pthread_create", subject: "netlink monitor")
        }
    }
}
