import LinuxSystem
import Synchronization

/// Hands elements from a reading thread to a consumer. A consumer that falls behind by more than the limit gets one
/// element that says so in the place of those it missed, and of those that come before it has read that one.
final class EventChannel<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        /// The first element not yet taken.
        var next = 0
        var isCollapsed = false
        var hasEnded = false
        var waiting: [CheckedContinuation<Element?, Never>] = []
    }

    private let state = Mutex(State())
    private let limit: Int
    private let overflow: Element
    /// Runs once, when the consumer has gone.
    private let onEnd: @Sendable () -> Void

    init(limit: Int, overflow: Element, onEnd: @escaping @Sendable () -> Void) {
        self.limit = max(limit, 1)
        self.overflow = overflow
        self.onEnd = onEnd
    }

    func push(_ element: Element) {
        let waiting = state.withLock { state -> CheckedContinuation<Element?, Never>? in
            guard !state.hasEnded, !state.isCollapsed else { return nil }
            if !state.waiting.isEmpty { return state.waiting.removeFirst() }
            if state.elements.count - state.next >= limit {
                collapse(&state)
            } else {
                state.elements.append(element)
            }
            return nil
        }
        waiting?.resume(returning: element)
    }

    /// Tells the consumer that elements are missing.
    func pushOverflow() {
        let waiting = state.withLock { state -> CheckedContinuation<Element?, Never>? in
            guard !state.hasEnded, !state.isCollapsed else { return nil }
            if !state.waiting.isEmpty { return state.waiting.removeFirst() }
            collapse(&state)
            return nil
        }
        waiting?.resume(returning: overflow)
    }

    /// What is waiting is dropped with the rest: who has to read everything again needs no single change.
    private func collapse(_ state: inout State) {
        state.elements = [overflow]
        state.next = 0
        state.isCollapsed = true
    }

    /// The next element; `nil` at the end, which a cancelled task brings about.
    func next() async -> Element? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> Element?? in
                    if state.hasEnded { return .some(nil) }
                    guard state.next < state.elements.count else {
                        state.waiting.append(continuation)
                        return nil
                    }
                    let element = state.elements[state.next]
                    state.next += 1
                    state.isCollapsed = false
                    if state.next == state.elements.count {
                        // A burst's memory is given back.
                        state.elements.removeAll(keepingCapacity: state.elements.capacity <= 64)
                        state.next = 0
                    }
                    return element
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            finish()
        }
    }

    func finish() {
        let waiting = state.withLock { state -> [CheckedContinuation<Element?, Never>]? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            state.elements = []
            state.next = 0
            defer { state.waiting = [] }
            return state.waiting
        }
        guard let waiting else { return }
        for continuation in waiting { continuation.resume(returning: nil) }
        onEnd()
    }
}
