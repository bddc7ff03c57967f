/// What should be and what is, for one kind of object, and the difference, kept up to date at the cost of what changes.
///
/// The observed side holds only what is Weft's own. After a pass it is told what was applied; after a dump it is replaced.
/// Where the two sides agree, which is nearly everywhere, the value is held once: with thousands of peers this is most of
/// the daemon's memory.
struct DeltaTracker<Key: Hashable, Value: Equatable> {
    /// What is as it should be.
    private var settled: [Key: Value] = [:]
    private var differing: [Key: Difference] = [:]
    /// How many objects should be.
    private(set) var desiredCount = 0

    private struct Difference {
        var desired: Value?
        var observed: Value?
    }

    init() {}

    // MARK: Reading

    func desired(_ key: Key) -> Value? { settled[key] ?? differing[key]?.desired }
    func observed(_ key: Key) -> Value? { settled[key] ?? differing[key]?.observed }
    func isHeldAndWanted(_ key: Key) -> Bool {
        settled[key] != nil || differing[key].map { $0.desired != nil && $0.observed != nil } ?? false
    }

    var desiredValues: some Sequence<Value> {
        [AnySequence(settled.values), AnySequence(differing.values.lazy.compactMap(\.desired))].lazy.joined()
    }

    /// What is, key by key.
    var observedState: [Key: Value] {
        settled.merging(differing.compactMapValues(\.observed)) { $1 }
    }

    /// The keys whose two values differ.
    var pending: some Collection<Key> { differing.keys }
    func isPending(_ key: Key) -> Bool { differing[key] != nil }

    /// What a pass would have to do for a key.
    func step(for key: Key) -> Step? {
        guard let difference = differing[key] else { return nil }
        switch (difference.desired, difference.observed) {
        case (let wanted?, nil): return .add(wanted)
        case (let wanted?, let held?): return .change(from: held, to: wanted)
        case (nil, let held?): return .remove(held)
        case (nil, nil): return nil
        }
    }

    enum Step {
        case add(Value)
        case change(from: Value, to: Value)
        case remove(Value)
    }

    // MARK: Writing

    mutating func setDesired(_ value: Value?, for key: Key) {
        desiredCount += (value == nil ? 0 : 1) - (desired(key) == nil ? 0 : 1)
        put(key, desired: value, observed: observed(key))
    }

    mutating func setObserved(_ value: Value?, for key: Key) {
        put(key, desired: desired(key), observed: value)
    }

    /// The object is as it should be now.
    mutating func noteDone(_ key: Key) { setObserved(desired(key), for: key) }

    mutating func replaceDesired(_ all: [Key: Value]) {
        let held = observedState
        rebuild(desired: all, observed: held)
    }

    mutating func replaceObserved(_ all: [Key: Value]) {
        var wanted = settled
        for (key, difference) in differing { wanted[key] = difference.desired }
        rebuild(desired: wanted, observed: all)
    }

    private mutating func rebuild(desired: [Key: Value], observed: [Key: Value]) {
        desiredCount = desired.count
        differing = [:]
        if desired == observed {
            settled = desired
            return
        }
        settled = [:]
        differing.reserveCapacity(observed.isEmpty ? desired.count : 0)
        for (key, value) in desired {
            let held = observed[key]
            if held == value {
                settled[key] = value
            } else {
                differing[key] = Difference(desired: value, observed: held)
            }
        }
        for (key, value) in observed where desired[key] == nil {
            differing[key] = Difference(desired: nil, observed: value)
        }
    }

    private mutating func put(_ key: Key, desired: Value?, observed: Value?) {
        guard desired == observed else {
            settled[key] = nil
            differing[key] = Difference(desired: desired, observed: observed)
            return
        }
        settled[key] = desired
        differing[key] = nil
        // A dictionary keeps the room that it once needed; after a start that is room for all.
        if differing.isEmpty { differing = [:] }
    }
}
