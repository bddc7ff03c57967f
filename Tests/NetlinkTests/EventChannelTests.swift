import Synchronization
import Testing

@testable import Netlink

@Suite(.timeLimit(.minutes(1))) struct EventChannelTests {
    @Test func elementsComeInOrder() async {
        let channel = EventChannel(limit: 10, overflow: -1) {}
        for element in 1...10 { channel.push(element) }
        for element in 1...10 { #expect(await channel.next() == element) }
    }

    /// A consumer that falls behind gets one element for all that it missed, and then what comes later.
    @Test func overflowCollapses() async {
        let channel = EventChannel(limit: 10, overflow: -1) {}
        for element in 1...1000 { channel.push(element) }
        #expect(await channel.next() == -1)
        channel.push(1001)
        #expect(await channel.next() == 1001)
        channel.push(1002)
        channel.pushOverflow()
        channel.pushOverflow()
        #expect(await channel.next() == -1)
        channel.push(1003)
        #expect(await channel.next() == 1003)
    }

    @Test func cancellationEndsIt() async {
        let ends = Mutex(0)
        let channel = EventChannel(limit: 10, overflow: -1) { ends.withLock { $0 += 1 } }
        let task = Task { await channel.next() }
        task.cancel()
        #expect(await task.value == nil)
        channel.push(1)
        #expect(await channel.next() == nil)
        channel.finish()
        #expect(ends.withLock { $0 } == 1)
    }

    @Test func aWaitingConsumerIsServed() async {
        let channel = EventChannel(limit: 10, overflow: -1) {}
        async let element = channel.next()
        channel.push(7)
        #expect(await element == 7)
    }
}
