import EtcdRegistry
import Foundation
import Leases
import Synchronization
import Testing

/// A store and what an operator does to it behind its back.
struct StoreFixture: Sendable {
    let store: any SubnetStore
    let putConfig: @Sendable (String?) async throws -> Void
    /// A key without a time to live.
    let putReservation: @Sendable (_ name: String, _ value: String) async throws -> Void
}

/// The kinds of stores that the suite runs over: add one here and nothing else.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case memory
    case v2
    case v3

    var testDescription: String { rawValue }

    /// Those with a real etcd behind.
    static var etcds: [StoreKind] { available.filter { $0 != .memory } }
    static var available: [StoreKind] { allCases.filter { $0 == .memory || EtcdServer.isInstalled } }

    func make(timeToLive: Duration = .seconds(86400)) async throws -> StoreFixture {
        switch self {
        case .memory:
            let store = MemoryStore(leaseTimeToLive: timeToLive)
            return StoreFixture(
                store: store, putConfig: { store.setConfig($0) },
                putReservation: { store.put($0, $1, isReservation: true) })
        case .v2:
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            return StoreFixture(
                store: try v2Store(server, prefix: prefix, ttl: timeToLive),
                putConfig: { text in
                    if let text {
                        try server.control2("set", "\(prefix)/config", text)
                    } else {
                        try server.control2("rm", "\(prefix)/config")
                    }
                }, putReservation: { name, value in try server.control2("set", "\(prefix)/subnets/\(name)", value) })
        case .v3:
            let server = try await SharedEtcd.server()
            let prefix = uniquePrefix()
            return StoreFixture(
                store: try v3Store(server, prefix: prefix, ttl: timeToLive),
                putConfig: { text in
                    if let text {
                        try server.control("put", "\(prefix)/config", text)
                    } else {
                        try server.control("del", "\(prefix)/config")
                    }
                }, putReservation: { name, value in try server.control("put", "\(prefix)/subnets/\(name)", value) })
        }
    }
}

func session(_ store: any SubnetStore, _ body: @Sendable (any SubnetSession) async throws -> Void) async throws {
    try await store.withSession(endpoint: 0, body)
}

extension LeaseRecord {
    var text: String { String(decoding: value, as: UTF8.self) }
}

extension CreateOutcome {
    func created() throws -> LeaseRecord {
        guard case .created(let record) = self else { throw Failure(description: "not created: \(self)") }
        return record
    }
}

/// Collects a watch's events.
final class EventLog: Sendable {
    private let events = Mutex<[SubnetEvent]>([])
    var all: [SubnetEvent] { events.withLock { $0 } }
    func add(_ new: [SubnetEvent]) { events.withLock { $0 += new } }
}

extension EtcdTests {
    /// What the registry relies on, the same for every store.
    @Suite struct StoreConformanceTests {
        @Test(arguments: StoreKind.available)
        func snapshotHoldsConfigAndLeases(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await session(fixture.store) { session in
                let empty = try await session.snapshot()
                #expect(empty.config == nil && empty.leases.isEmpty)
                try await fixture.putConfig("{}")
                try await fixture.putReservation("b", "2")
                let record = try await session.create(name: "a", value: [49]).created()
                let full = try await session.snapshot()
                #expect(full.config == Array("{}".utf8))
                let leases = full.leases.sorted { $0.name < $1.name }
                #expect(leases.map(\.name) == ["a", "b"])
                #expect(leases.first == record)
                #expect(leases.map(\.isReservation) == [false, true])
                #expect(full.revision >= record.modRevision)
            }
        }

        @Test(arguments: StoreKind.available)
        func createsOnlyIfAbsent(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await session(fixture.store) { session in
                await session.prepareCreate()
                let first = try await session.create(name: "a", value: [1]).created()
                #expect(first.createRevision == first.modRevision)
                #expect(try await session.create(name: "a", value: [2]) == .taken(first))
                await session.discardPrepared()
                #expect(try await session.snapshot().leases == [first])
            }
        }

        @Test(arguments: StoreKind.available)
        func replacesOnlyWhatIsUnchanged(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await session(fixture.store) { session in
                let first = try await session.create(name: "a", value: [1]).created()
                guard case .written(let second) = try await session.replace(first, value: [2]) else {
                    Issue.record("not written")
                    return
                }
                #expect(second.createRevision == first.createRevision && second.modRevision > first.modRevision)
                #expect(!second.isReservation)
                #expect(try await session.replace(first, value: [3]) == .changed(second))
                #expect(try await session.snapshot().leases == [second])
                #expect(try await session.delete(first) == false)
                #expect(try await session.delete(second))
                #expect(try await session.delete(second), "it is gone, whoever did it")
                #expect(try await session.replace(second, value: [3]) == .changed(nil))
                #expect(try await session.renew(second) == .changed(nil))
                #expect(try await session.snapshot().leases.isEmpty)
            }
        }

        @Test(arguments: StoreKind.available)
        func reservationsStayWithoutTimeToLive(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await fixture.putReservation("a", "x")
            try await session(fixture.store) { session in
                let record = try #require(try await session.snapshot().leases.first)
                #expect(try await session.renew(record) == .reservation)
                guard case .written(let written) = try await session.replace(record, value: [2]) else {
                    Issue.record("not written")
                    return
                }
                #expect(written.isReservation)
                #expect(try await session.snapshot().leases == [written])
            }
        }

        @Test(arguments: StoreKind.available)
        func renewalIsSilent(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await session(fixture.store) { session in
                let record = try await session.create(name: "a", value: [1]).created()
                let log = EventLog()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try? await session.watch(after: record.modRevision) { log.add($0) } }
                    guard case .renewed(let renewed, let timeToLive) = try await session.renew(record) else {
                        throw Failure(description: "not renewed")
                    }
                    #expect(timeToLive == fixture.store.leaseTimeToLive)
                    // v2 counts a renewal as a modification that nobody is told of.
                    #expect(renewed.modRevision == record.modRevision || kind == .v2)
                    #expect(renewed.value == record.value && renewed.createRevision == record.createRevision)
                    #expect(try await session.snapshot().leases == [renewed])
                    #expect(try await session.renew(renewed) != .changed(renewed), "a renewal can follow")
                    let next = try await session.create(name: "b", value: [1]).created()
                    try await eventually("the next change is seen") { !log.all.isEmpty }
                    #expect(log.all == [.put(next)], "and no renewal before it")
                    group.cancelAll()
                }
            }
        }

        @Test(arguments: StoreKind.available)
        func takesOverOnlyWhatIsUnchanged(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await session(fixture.store) { session in
                let first = try await session.create(name: "a", value: [1]).created()
                guard case .written(let second) = try await session.takeOver(first, value: [1]) else {
                    Issue.record("not written")
                    return
                }
                #expect(second.modRevision > first.modRevision && second.createRevision == first.createRevision)
                #expect(second.value == [1] && !second.isReservation)
                #expect(try await session.takeOver(first, value: [2]) == .changed(second))
                #expect(try await session.snapshot().leases == [second])
            }
        }

        @Test(arguments: StoreKind.available)
        func watchReportsEachChangeOnceAndInOrder(_ kind: StoreKind) async throws {
            let fixture = try await kind.make()
            try await session(fixture.store) { session in
                let before = try await session.create(name: "before", value: [1]).created()
                let revision = try await session.snapshot().revision
                let early = try await session.create(name: "early", value: [1]).created()
                let log = EventLog()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try? await session.watch(after: revision) { log.add($0) } }
                    try await eventually("the watch has caught up") { log.all.count == 1 }
                    guard case .written(let second) = try await session.replace(before, value: [2]) else {
                        throw Failure(description: "not written")
                    }
                    #expect(try await session.delete(second))
                    try await eventually("the lease events are there") { log.all.count == 4 - 1 }
                    guard case .removed("before", let gone) = log.all[2] else {
                        throw Failure(description: "no removal but \(log.all[2])")
                    }
                    #expect(Array(log.all[..<2]) == [.put(early), .put(second)])
                    #expect(gone > second.modRevision)
                    try await fixture.putConfig("{}")
                    try await fixture.putConfig(nil)
                    try await eventually("the config events are there") { log.all.count == 5 }
                    #expect(Array(log.all[3...]) == [.config(Array("{}".utf8)), .config(nil)])
                    group.cancelAll()
                }
            }
        }

        @Test(arguments: StoreKind.etcds)
        func leasesEndByThemselves(_ kind: StoreKind) async throws {
            let fixture = try await kind.make(timeToLive: .seconds(5))
            try await session(fixture.store) { session in
                _ = try await session.create(name: "a", value: [1]).created()
                // After an answer that was cut off the registry asks again; so does this.
                try await eventually("the lease has ended") { (try? await session.snapshot())?.leases.isEmpty == true }
            }
        }
    }
}
