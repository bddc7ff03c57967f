import Glibc
import IPNetwork
import Synchronization
import Testing

@testable import Tunnel

@Suite struct RangeMapTests {
    private func map(_ entries: [(String, UInt32)]) -> RangeMap<UInt32> {
        RangeMap(entries.compactMap { text, value in IPv4Prefix(text).map { ($0, value) } })
    }

    private func look(_ map: RangeMap<UInt32>, _ address: String) -> UInt32? {
        IPv4Address(address).flatMap { map.lookUp($0.rawValue) }
    }

    @Test func findsTheLongestPrefixAmongNestedOnes() {
        let map = map([
            ("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.255.0/24", 3), ("10.1.0.0/24", 4), ("0.0.0.0/0", 5),
            ("255.255.255.255/32", 6), ("10.1.0.0/32", 7),
        ])
        defer { map.deallocate() }
        let expected: [(String, UInt32)] = [
            ("9.255.255.255", 5), ("10.0.0.0", 1), ("10.1.0.0", 7), ("10.1.0.1", 4), ("10.1.1.0", 2),
            ("10.1.254.255", 2), ("10.1.255.0", 3), ("10.1.255.255", 3), ("10.2.0.0", 1), ("10.255.255.255", 1),
            ("11.0.0.0", 5), ("255.255.255.254", 5), ("255.255.255.255", 6), ("0.0.0.0", 5),
        ]
        for (address, value) in expected { #expect(look(map, address) == value, "\(address)") }
    }

    @Test func gapsAreNobodys() {
        let map = map([("10.0.1.0/24", 1), ("10.0.3.0/24", 3)])
        defer { map.deallocate() }
        for address in ["10.0.0.255", "10.0.2.0", "10.0.2.255", "10.0.4.0", "255.255.255.255", "0.0.0.0"] {
            #expect(look(map, address) == nil, "\(address)")
        }
    }

    @Test func anEmptyMapHasNothing() {
        let map = map([])
        defer { map.deallocate() }
        #expect(look(map, "10.0.0.1") == nil)
    }

    @Test func agreesWithASearchOfEveryPrefix() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20 {
            // A small corner of the address space, so that prefixes nest and touch.
            let entries = (0..<60).map { index in
                let length = Int.random(in: 20...32, using: &random)
                let address = 0xffff_f000 | UInt32.random(in: 0...0xfff, using: &random)
                return (
                    prefix: IPv4Prefix(IPv4Address(rawValue: address), length: length) ?? .all, value: UInt32(index)
                )
            }
            let map = RangeMap<UInt32>(entries)
            defer { map.deallocate() }
            for address in UInt32(0xffff_efff)...UInt32.max {
                let owner = entries.filter { $0.prefix.contains(IPv4Address(rawValue: address)) }
                    .max { ($0.prefix.length, $0.value) < ($1.prefix.length, $1.value) }
                guard map.lookUp(address) == owner?.value else {
                    Issue.record("\(IPv4Address(rawValue: address)) in \(entries)")
                    return
                }
            }
        }
    }
}

@Suite struct NextHopTableTests {
    let memory = TestMemory()

    @Test func peersOfBothFamiliesAreKnownByAddressWhateverThePort() {
        let table = NextHopTable([hop("10.0.1.0/24", "192.0.2.1"), hop("10.0.2.0/24", "2001:db8::2")])
        for (text, known) in [("192.0.2.1", true), ("192.0.2.2", false), ("2001:db8::2", true), ("2001:db8::3", false)]
        {
            var storage = sockaddr_storage()
            if let address = IPAddress(text) { _ = SocketAddress.write(address, 999, to: &storage) }
            let name = withUnsafeBytes(of: &storage) { memory.place(Array($0.prefix(28))) }
            #expect((table.view.peer(name) != NextHopTable.none) == known, "\(text)")
        }
    }

    @Test func subnetsOfOnePeerShareItsEndpoint() {
        let table = NextHopTable([
            hop("10.0.1.0/24", "192.0.2.1"), hop("10.0.2.0/24", "192.0.2.1"), hop("fd00::/64", "192.0.2.1"),
        ])
        #expect(table.view.endpointCount == 1)
    }
}

private final class Flag: Sendable { let isDone = Atomic(false) }

@Suite struct NextHopPublisherTests {
    @Test func anOldTableStaysWhileItIsReadAndGoesAfterwards() {
        let publisher = NextHopPublisher(NextHopTable(), loops: 2)
        _ = publisher.acquire(0)
        publisher.publish(NextHopTable())
        #expect(publisher.heldCount == 2)
        _ = publisher.acquire(1)
        publisher.publish(NextHopTable())
        #expect(publisher.heldCount == 3)
        publisher.release(0)
        publisher.release(1)
        publisher.publish(NextHopTable())
        #expect(publisher.heldCount == 1)
    }

    /// Each table answers one number for every address; a reader that finds two of them reads freed or mixed memory.
    @Test func readersSeeWholeTablesWhileTheyAreSwapped() async {
        func table(_ number: Int) -> NextHopTable {
            NextHopTable((0..<64).map { hop("10.0.\($0).0/24", "192.0.2.\(number % 200 + 1)") })
        }
        let publisher = NextHopPublisher(table(0), loops: 2)
        let flag = Flag()
        await withTaskGroup(of: Bool.self) { group in
            for slot in 0..<2 {
                group.addTask {
                    var isWhole = true
                    while !flag.isDone.load(ordering: .acquiring) {
                        let view = publisher.acquire(slot)
                        isWhole = isWhole && view.endpointCount == 1
                        for subnet in 0..<64 where view.v4.lookUp(0x0a00_0001 | UInt32(subnet) << 8) != 0 {
                            isWhole = false
                        }
                        publisher.release(slot)
                        await Task.yield()
                    }
                    return isWhole
                }
            }
            for number in 0..<500 {
                publisher.publish(table(number))
                await Task.yield()
            }
            flag.isDone.store(true, ordering: .releasing)
            for await isWhole in group { #expect(isWhole) }
        }
        publisher.publish(table(1))
        #expect(publisher.heldCount == 1)
    }
}
