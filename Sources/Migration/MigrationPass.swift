import EtcdRegistry
import Leases

/// Sessions with both registries.
struct MigrationPass {
    let v2: any MigrationSession
    let v3: any MigrationTarget
    /// What deadlines are compared with.
    var now: @Sendable () -> ContinuousClock.Instant = { .now }

    /// Both registries as they are.
    struct View {
        let v2: MigrationSnapshot
        let v3: MigrationSnapshot
        let plan: MigrationPlan
    }

    /// How often what others wrote in between is looked at again.
    private static let rounds = 10

    /// - Parameter known: an earlier view, of which v3's times to live are taken; `nil` asks for them afresh.
    func look(reusing known: View? = nil) async throws(MigrationFailure) -> View {
        let left = try await on(.v2) { () async throws(StoreError) in
            try await v2.migrationSnapshot(reusing: known?.v2)
        }
        let right = try await on(.v3) { () async throws(StoreError) in
            try await v3.migrationSnapshot(reusing: known?.v3)
        }
        return View(v2: left, v3: right, plan: MigrationPlan(v2: left, v3: right, now: now()))
    }

    /// Does what the plan says, and again what others' writes have made necessary, until there is nothing to do.
    ///
    /// - Parameter done: called after each step that was done.
    /// - Returns: What there is then. It has steps when others never stopped writing.
    func settle(_ view: View, done: (MigrationStep) -> Void) async throws(MigrationFailure) -> View {
        var view = view
        for _ in 0..<Self.rounds {
            if view.plan.steps.isEmpty { break }
            var isComplete = true
            for step in view.plan.steps {
                if step.isLast, !isComplete { break }
                if try await apply(step) { done(step) } else { isComplete = false }
            }
            view = try await look(reusing: view)
        }
        return view
    }

    /// - Returns: Whether it was done; `false` when another wrote in between.
    func apply(_ step: MigrationStep) async throws(MigrationFailure) -> Bool {
        switch step.action {
        case .copy(let source, let side, let revision):
            guard let change = change(source) else { return false }
            return try await write(
                MigrationWrite(step.subject, value: source.value, change, ifAt: revision), source, on: side, step)
        case .remove(let entry, let side):
            let write = MigrationWrite(step.subject, value: entry.value, .remove, ifAt: entry.revision)
            return try await on(side) { () async throws(StoreError) in
                // On v2 it takes a moment until it is gone; the note is dropped then.
                side == .v2 ? try await v2.migrate(write) != nil : try await v3.migrate(write, note: nil) != nil
            }
        case .note(let note): return try await put(StoredNote(note), on: step.subject, after: step.noteRevision) != nil
        case .forget: return try await put(nil, on: step.subject, after: step.noteRevision) != nil
        }
    }

    /// - Returns: Whether it was done.
    func write(_ write: MigrationWrite, on side: MigrationSide) async throws(MigrationFailure) -> Bool {
        let session: any MigrationSession = side == .v2 ? v2 : v3
        return try await on(side) { () async throws(StoreError) in try await session.migrate(write) != nil }
    }

    /// Deletes a note, unless it was written again.
    func forget(_ subject: MigrationSubject, _ note: MigrationEntry) async throws(MigrationFailure) {
        _ = try await put(nil, on: subject, after: note.revision)
    }

    /// `nil` when too little time is left.
    private func change(_ source: MigrationEntry) -> MigrationWrite.Change? {
        guard let deadline = source.deadline else { return .put(timeToLive: nil) }
        let remaining = deadline - now()
        guard remaining >= MigrationPlan.shortest else { return nil }
        return .put(timeToLive: .seconds(remaining.components.seconds))
    }

    private func write(
        _ write: MigrationWrite, _ source: MigrationEntry, on side: MigrationSide, _ step: MigrationStep
    ) async throws(MigrationFailure) -> Bool {
        switch side {
        case .v3:
            let note = StoredNote(MigrationNote(origin: .v2, v2: source.revision, v3: 0))
            return try await on(.v3) { () async throws(StoreError) in
                try await v3.migrate(write, note: note.text(isWithKey: true)) != nil
            }
        case .v2:
            var noteRevision = step.noteRevision
            let announced = AnnouncedCopy(source.value, v3: source.revision, v2: write.revision)
            if step.note?.announced != announced {
                let note = StoredNote(step.note?.agreed, announced: announced)
                let written = try await put(note, on: step.subject, after: noteRevision, ifKeyAt: source.revision)
                guard let written else { return false }
                noteRevision = written
            }
            let written = try await on(.v2) { () async throws(StoreError) in try await v2.migrate(write) }
            guard let written else { return false }
            // True whatever became of the original meanwhile: when it is gone, the copy is known for one, and goes too.
            let note = StoredNote(MigrationNote(origin: .v3, v2: written, v3: source.revision))
            return try await put(note, on: step.subject, after: noteRevision) != nil
        }
    }

    /// Writes or with `nil` deletes a note.
    ///
    /// - Parameter keyRevision: what v3's key has to be at; `nil` for anything.
    /// - Returns: The note's revision; `nil` when another wrote in between.
    private func put(
        _ note: StoredNote?, on subject: MigrationSubject, after noteRevision: Int64, ifKeyAt keyRevision: Int64? = nil
    ) async throws(MigrationFailure) -> Int64? {
        try await on(.v3) { () async throws(StoreError) in
            try await v3.putNote(
                note?.text(isWithKey: false), on: subject, noteRevision: noteRevision, keyRevision: keyRevision)
        }
    }

    private func on<Answer: Sendable>(
        _ side: MigrationSide, _ body: () async throws(StoreError) -> Answer
    ) async throws(MigrationFailure) -> Answer {
        do throws(StoreError) {
            return try await body()
        } catch {
            throw MigrationFailure(side, error)
        }
    }
}

extension MigrationStep {
    /// The new config, which daemons wait for: after it they allocate.
    fileprivate var isLast: Bool {
        if case .copy(_, _, revision: 0) = action { subject == .config } else { false }
    }
}
