/// What should be and what is, for one kind of object, and the difference, kept up to date at the cost of what changes.
///
/// The observed side holds only what is Weft's own. After a pass it is told what was applied; after a dump it is replaced.
struct DeltaTracker<Key: Hashable, Value: Equatable> {
    private(set) var desired: [Key: Value] = [:]
    private(set) var observed: [Key: Value] = [:]
    /// The keys whose two values differ.
    private(set) var pending: Set<Key> = []

    init() {}

    mutating func setDesired(_ value: Value?, for key: Key) {
        desired[key] = value
        compare(key)
    }

    mutating func setObserved(_ value: Value?, for key: Key) {
        observed[key] = value
        compare(key)
    }

    mutating func replaceDesired(_ all: [Key: Value]) {
        desired = all
        compareAll()
    }

    mutating func replaceObserved(_ all: [Key: Value]) {
        observed = all
        compareAll()
    }

    /// What a pass would have to do for a key.
    func step(for key: Key) -> Step? {
        switch (desired[key], observed[key]) {
        case (let wanted?, nil): .add(wanted)
        case (let wanted?, let held?): wanted == held ? nil : .change(from: held, to: wanted)
        case (nil, let held?): .remove(held)
        case (nil, nil): nil
        }
    }

    enum Step {
        case add(Value)
        case change(from: Value, to: Value)
        case remove(Value)
    }

    private mutating func compare(_ key: Key) {
        if desired[key] == observed[key] { pending.remove(key) } else { pending.insert(key) }
    }

    private mutating func compareAll() {
        pending.removeAll(keepingCapacity: true)
        for (key, value) in desired where observed[key] != value { pending.insert(key) }
        for key in observed.keys where desired[key] == nil { pending.insert(key) }
    }
}
