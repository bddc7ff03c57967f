import EtcdRegistry

/// A key on both sides, and what was noted of it.
struct KeyState {
    let v2: MigrationEntry?
    let v3: MigrationEntry?
    let noteEntry: MigrationEntry?
    let stored: StoredNote?
    let note: MigrationNote?

    init(v2: MigrationEntry?, v3: MigrationEntry?, note: MigrationEntry?) {
        self.v2 = v2
        self.v3 = v3
        noteEntry = note
        stored = note.map(StoredNote.init)
        self.note = Self.copied(stored?.announced, v2, v3) ?? stored?.agreed
    }

    /// What a copy to v2 has come to that a run announced and was stopped before it noted it.
    ///
    /// A daemon on v2 writes the same bytes when its host has moved back. What is left of the times to live tells then,
    /// as long as both have one.
    private static func copied(
        _ announced: AnnouncedCopy?, _ v2: MigrationEntry?, _ v3: MigrationEntry?
    ) -> MigrationNote? {
        guard let announced, let v2, announced.matches(v2), v3 == nil || v2.deadline == nil else { return nil }
        return MigrationNote(origin: .v3, v2: v2.revision, v3: announced.v3)
    }

    /// Whether this is what the stored note says, and all that it says.
    func isNoted(_ note: MigrationNote) -> Bool { stored == StoredNote(note) }

    subscript(side: MigrationSide) -> MigrationEntry? { side == .v2 ? v2 : v3 }

    /// Who is to follow whom.
    enum Relation: Equatable {
        case nothing
        /// Only the note is left.
        case forget
        /// The other side is to be as this one. `replaces`: what is there may be a daemon's and not a copy.
        case follow(MigrationSide, replaces: Bool)
        /// The copy's original has ended.
        case remove(from: MigrationSide)
        /// Both were written since they were last in step, or were never in step.
        case undecided
    }

    /// Whether a side was written since the note. A revision below the noted one is not news: the registry was put
    /// back to an older state.
    private func isNew(_ side: MigrationSide) -> Bool {
        guard let entry = self[side] else { return false }
        return note.map { entry.revision > $0[side] } ?? true
    }

    var relation: Relation {
        switch (v2, v3) {
        case (nil, nil): return noteEntry == nil ? .nothing : .forget
        case (_?, nil): return ofOne(.v2)
        case (nil, _?): return ofOne(.v3)
        case (_?, _?): break
        }
        guard let note else { return .undecided }
        switch (isNew(.v2), isNew(.v3)) {
        case (true, true): return .undecided
        case (true, false):
            // v3's writes and their notes are one transaction, but a run may be stopped between a write on v2 and its note.
            if note.origin == .v3, v2?.value == v3?.value { return .undecided }
            return .follow(.v2, replaces: note.origin == .v3)
        case (false, true): return .follow(.v3, replaces: note.origin == .v2)
        case (false, false): return .follow(note.origin, replaces: false)
        }
    }

    private func ofOne(_ side: MigrationSide) -> Relation {
        guard let note, !isNew(side), note.origin != side else { return .follow(side, replaces: false) }
        return .remove(from: side)
    }
}
