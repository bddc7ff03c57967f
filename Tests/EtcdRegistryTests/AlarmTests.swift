import Synchronization
import Testing

@testable import EtcdRegistry

@Suite(.timeLimit(.minutes(10))) struct AlarmTests {
    @Test func onlyTheLastOneSetRings() async throws {
        let rung = Mutex<[ContinuousClock.Instant]>([])
        var alarm = Alarm()
        let start = ContinuousClock.now
        let (early, late) = (start + .milliseconds(20), start + .milliseconds(60))
        for instant in [early, start + .seconds(3600), late] {
            alarm.set(instant) { instant in rung.withLock { $0.append(instant) } }
        }
        try await eventually("it rings") { rung.withLock { !$0.isEmpty } }
        #expect(rung.withLock { $0 } == [late])
        let accepted = [alarm.accepts(early), alarm.accepts(late), alarm.accepts(late)]
        #expect(accepted == [false, true, false], "what was set last, and once")
    }
}
