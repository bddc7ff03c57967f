import Testing

@testable import EtcdRegistry

@Suite struct SpareLeaseTests {
    @Test func freshForAMinuteAndHalfTheRenewMarginAtMost() {
        let start = ContinuousClock.now
        var spare = SpareLease(id: 1, grantedAt: start)
        #expect(spare.isFresh(at: start + .seconds(59), renewMargin: .seconds(3600)))
        #expect(!spare.isFresh(at: start + .seconds(60), renewMargin: .seconds(3600)))
        #expect(spare.isFresh(at: start + .seconds(9), renewMargin: .seconds(20)))
        #expect(!spare.isFresh(at: start + .seconds(10), renewMargin: .seconds(20)))
        spare.mayBeBound = true
        #expect(!spare.isFresh(at: start, renewMargin: .seconds(3600)), "a key may have it")
    }
}
