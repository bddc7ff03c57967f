import Glibc

/// What a network card calls interrupt moderation: while small packets come thick, a loop sleeps a little between its
/// batches instead of being woken by the first packet of each. What came meanwhile is then read and sent together.
struct Pause {
    /// Batches from this many packets on are followed by a pause; a request and its answer never are.
    private static let packets = 4
    /// Bytes a packet on average: large ones fill a message soon enough, and TCP's own clock must not be slowed.
    private static let meanSize = 512
    /// Nanoseconds.
    private static let length = 40_000

    /// For the calling thread, whose timers become exact enough: the kernel adds 50 microseconds otherwise.
    init() {
        let file = open("/proc/thread-self/timerslack_ns", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        let text: StaticString = "5000"
        _ = write(file, text.utf8Start, text.utf8CodeUnitCount)
        close(file)
    }

    /// Whether to pause after a batch.
    @inline(__always) func pays(packets: Int, bytes: Int) -> Bool {
        packets >= Self.packets && bytes < packets &* Self.meanSize
    }

    /// Sleeps; a signal may cut it short.
    func take() {
        var length = timespec(tv_sec: 0, tv_nsec: Self.length)
        nanosleep(&length, nil)
    }
}
