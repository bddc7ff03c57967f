import EtcdRegistry

/// What the command says.
public enum MigrationReport {
    /// The plan, a line for the config and each lease, and a summary.
    public static func text(_ plan: MigrationPlan) -> String {
        let rows = plan.items.map { item in
            [name(item.subject), item.host ?? "", verb(item.verdict), detail(item)]
        }
        let widths = (0..<3).map { column in rows.map { $0[column].count }.max() ?? 0 }
        var text = ""
        for (row, item) in zip(rows, plan.items) {
            var line = "  "
            for column in 0..<3 {
                line += row[column] + String(repeating: " ", count: widths[column] - row[column].count + 2)
            }
            text += (line + row[3]).droppingTrailingSpaces + "\n"
            if case .conflict(let reason, let remedy) = item.verdict {
                text += "      \(reason)\n      remedy: \(remedy)\n"
            }
        }
        return text + summary(plan)
    }

    private static func summary(_ plan: MigrationPlan) -> String {
        var counts: [(String, Int)] = []
        for item in plan.items where item.subject != .config {
            let verb = verb(item.verdict)
            if let index = counts.firstIndex(where: { $0.0 == verb }) {
                counts[index].1 += 1
            } else {
                counts.append((verb, 1))
            }
        }
        var text =
            "\n" + (counts.isEmpty ? "No leases." : "Leases: " + counts.map { "\($1) \($0)" }.joined(separator: ", "))
        if !text.hasSuffix(".") { text += "." }
        if plan.waitingLeases > 0 { text = "\n\(plan.waitingLeases) leases wait until the config is settled." }
        return text + "\n"
    }

    /// What was done to a key, one line.
    public static func line(_ step: MigrationStep) -> String {
        let item = step.item
        let host = item.host.map { " of \($0)" } ?? ""
        let what: String
        switch item.verdict {
        case .create(let side): what = "copied to \(side)"
        case .update(let side): what = "changed on \(side.other), copied to \(side)"
        case .extend(let side): what = "renewed on \(side.other), so on \(side)"
        case .remove(let side): what = "ended on \(side.other), removed from \(side)"
        case .forget: what = "gone from both"
        case .same(let origin): what = "follows \(origin)"
        case .endsSoon, .waits, .skipped, .conflict: what = verb(item.verdict)
        }
        return "\(name(step.subject))\(host): \(what)"
    }

    /// A conflict as a line of a log.
    public static func line(conflict item: MigrationItem) -> String {
        guard case .conflict(let reason, let remedy) = item.verdict else { return name(item.subject) }
        return "\(name(item.subject)): conflict: \(reason); \(remedy)"
    }

    /// Whether a step is bookkeeping that nobody needs to hear of.
    public static func isQuiet(_ step: MigrationStep) -> Bool {
        switch step.item.verdict {
        case .forget, .same: true
        default: false
        }
    }

    /// As an operator knows it.
    public static func name(_ subject: MigrationSubject) -> String {
        switch subject {
        case .config: "config"
        case .lease(let name): name
        }
    }

    private static func verb(_ verdict: MigrationItem.Verdict) -> String {
        switch verdict {
        case .same: "same"
        case .create(let side): "copy to \(side)"
        case .update(let side): "update on \(side)"
        case .extend(let side): "renew on \(side)"
        case .remove(let side): "remove from \(side)"
        case .forget: "gone"
        case .endsSoon: "about to end"
        case .waits: "copied last"
        case .skipped: "skipped"
        case .conflict: "CONFLICT"
        }
    }

    private static func detail(_ item: MigrationItem) -> String {
        switch item.verdict {
        case .same(let origin): item.subject == .config ? "" : "\(origin) leads, \(left(item))"
        case .create, .update, .extend: item.subject == .config ? "" : left(item)
        case .remove(let side): "it has ended on \(side.other)"
        case .waits: "when no lease is in conflict any more"
        case .skipped(let reason): reason
        case .forget, .endsSoon, .conflict: ""
        }
    }

    private static func left(_ item: MigrationItem) -> String {
        guard let remaining = item.remaining else { return "reservation" }
        let minutes = max(remaining.components.seconds, 0) / 60
        return minutes >= 60 ? "\(minutes / 60) h \(minutes % 60) min left" : "\(minutes) min left"
    }
}

extension String {
    fileprivate var droppingTrailingSpaces: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
