import Testing

@testable import EtcdRegistry

private func broken(_ cause: String) -> StoreError { StoreError(.unavailable, cause: cause) }

@Suite struct EndpointFailoverTests {
    @Test(arguments: [StoreError.Kind.unauthenticated, .permissionDenied, .unsupported, .refused])
    func waitsUpToAMinuteForAnOperator(_ kind: StoreError.Kind) {
        var failover = EndpointFailover(configured: 2, count: 2)
        var generator = SystemRandomNumberGenerator()
        var waits: [Duration] = []
        for _ in 0..<30 { waits.append(failover.failed(StoreError(kind, cause: "no"), using: &generator)) }
        #expect(waits.allSatisfy { $0 <= .seconds(60) })
        #expect(waits[29] >= .seconds(30))
        #expect(Set(waits.suffix(8)).count > 2, "jittered")
        _ = failover.failed(broken("down"), using: &generator)
        let mixed = failover.failed(StoreError(kind, cause: "no"), using: &generator)
        #expect(mixed <= .seconds(5), "the other one may come back at any time")
    }

    @Test func triesEachOnceThenWaitsEverLonger() {
        var failover = EndpointFailover(configured: 3, count: 3)
        var generator = SystemRandomNumberGenerator()
        var waits: [Duration] = []
        for number in 0..<30 {
            #expect(failover.current == number % 3)
            waits.append(failover.failed(broken("cause \(number % 3)"), using: &generator))
        }
        let rounds = stride(from: 2, to: 30, by: 3).map { waits[$0] }
        #expect(waits.enumerated().allSatisfy { $0.offset % 3 == 2 || $0.element == .zero })
        #expect(rounds.allSatisfy { $0 >= .milliseconds(50) && $0 <= .seconds(5) })
        #expect(rounds[9] >= .milliseconds(2500), "the waits grow")
        #expect(failover.allFailed && failover.cause == "cause 0; cause 1; cause 2")
        failover.succeeded()
        #expect(!failover.allFailed)
        let wait = failover.failed(broken("again"), using: &generator)
        #expect(wait == .zero)
    }

    /// Members that etcd names itself, at addresses where perhaps nobody answers.
    @Test func othersAreTriedOneARoundAndHoldNothingUp() {
        var failover = EndpointFailover(configured: 2, count: 5)
        var generator = SystemRandomNumberGenerator()
        var order: [Int] = []
        var waits: [Duration] = []
        for number in 0..<12 {
            order.append(failover.current)
            waits.append(failover.failed(broken("cause \(failover.current)"), using: &generator))
            #expect(failover.allFailed == (number > 0))
        }
        #expect(order == [0, 1, 2, 0, 1, 3, 0, 1, 4, 0, 1, 2])
        #expect(waits.enumerated().allSatisfy { ($0.offset % 3 == 2) == ($0.element > .zero) })
        #expect(failover.cause == "cause 0; cause 1")
        // One of them works for a while.
        _ = failover.failed(broken("cause 0"), using: &generator)
        _ = failover.failed(broken("cause 1"), using: &generator)
        #expect(failover.current == 3)
        failover.succeeded()
        _ = failover.failed(broken("cause 3"), using: &generator)
        #expect(failover.current == 0 && !failover.allFailed)
    }

    @Test func othersComeAndGo() {
        var failover = EndpointFailover(configured: 1, count: 1)
        var generator = SystemRandomNumberGenerator()
        _ = failover.failed(broken("down"), using: &generator)
        #expect(failover.current == 0)
        failover.resize(3)
        _ = failover.failed(broken("down"), using: &generator)
        _ = failover.failed(broken("down"), using: &generator)
        _ = failover.failed(broken("down"), using: &generator)
        #expect(failover.current == 2)
        failover.resize(2)
        #expect(failover.current == 0)
        _ = failover.failed(broken("down"), using: &generator)
        #expect(failover.current == 1)
    }

    @Test func rewritesGrowSeldom() throws {
        var schedule = RewriteSchedule()
        var now = ContinuousClock.now
        var gaps: [Duration] = []
        for _ in 0..<10 {
            schedule.plan(now: now, atOnce: false)
            let at = try #require(schedule.at)
            gaps.append(at - now)
            now = at
            schedule.done()
        }
        #expect(gaps[0] <= .seconds(15) && gaps[9] >= .seconds(450))
        schedule.plan(now: now + .seconds(3600), atOnce: true)
        #expect(schedule.at == now + .seconds(3600), "after a calm hour the first is at once")
    }

    @Test func repeatedLinesAreFew() {
        var log = RepeatedLog()
        let now = ContinuousClock.now
        let lines = [("a", 0), ("a", 299), ("a", 300), ("b", 301)]
        let due = lines.map { log.isDue($0.0, at: now + .seconds($0.1)) }
        #expect(due == [true, false, true, true])
    }
}
