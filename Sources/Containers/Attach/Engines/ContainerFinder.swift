import FoundationEssentials
import Glibc
import LinuxSystem

/// Finds containers by asking the engines that are installed.
struct ContainerFinder: Sendable {
    let tool: CommandTool

    /// What an engine says.
    struct Candidate: Hashable, Sendable {
        var engine: ContainerReference.Engine
        var id: String?
        var displayName: String
        /// `nil` for a named namespace; 0 for a container that does not run.
        var process: Int32?
    }

    /// - Throws: ``AttachError`` when nobody knows it, several do, or it does not run.
    func resolve(_ reference: ContainerReference) async throws(AttachError) -> ResolvedContainer {
        // An engine says "created" until the first process is there.
        for attempt in 0... {
            let candidate = try await find(reference)
            guard let process = candidate.process else {
                return ResolvedContainer(
                    engine: .netns, displayName: candidate.displayName,
                    handle: try ContainerHandle(namespace: candidate.displayName))
            }
            if process > 0 {
                let handle = try ContainerHandle(process: process)
                // The container may have ended before its process was held, and the number be another's by then.
                let again = candidate.engine == .pid ? candidate : try await find(reference)
                if again == candidate {
                    return ResolvedContainer(
                        engine: candidate.engine, id: candidate.id, displayName: candidate.displayName, handle: handle)
                }
            }
            if attempt == 6 {
                throw AttachError(
                    "the container \(reference) does not run", remedy: "start it, or see why it ends: its engine's logs"
                )
            }
            do {
                try await Task.sleep(for: .milliseconds(500))
            } catch {
                throw .interrupted
            }
        }
        throw AttachError("the container \(reference) does not run")
    }

    /// - Throws: ``AttachError`` when nobody knows it, or several do.
    func find(_ reference: ContainerReference) async throws(AttachError) -> Candidate {
        var found: [Candidate] = []
        for engine in ContainerReference.Engine.allCases where reference.engine == nil || reference.engine == engine {
            found += try await candidates(reference.name, engine, isNamed: reference.engine != nil)
        }
        // Docker's containers are containerd's as well: one process is one container, and the first engine's word counts.
        var seen: Set<Int32> = []
        let distinct = found.filter { $0.process.map { $0 == 0 || seen.insert($0).inserted } ?? true }
        let running = distinct.filter { $0.process != 0 }
        let choice = running.isEmpty ? distinct : running
        guard let first = choice.first else {
            throw AttachError(
                "there is no container \(reference)",
                remedy: reference.engine == nil
                    ? "asked were \(askable().joined(separator: ", ")); name it as its engine does, or give pid:NUMBER"
                    : "name it as \(reference.engine?.rawValue ?? "its engine") does")
        }
        guard choice.count == 1 else {
            let names = choice.map { "\($0.engine.rawValue):\($0.id?.prefix(12) ?? $0.displayName.prefix(40))" }
            throw AttachError(
                "more than one container is called \(reference): \(names.joined(separator: ", "))",
                remedy: "say which: \(names[0])")
        }
        return first
    }

    private func askable() -> [String] {
        var names = ["process numbers", "ip netns"]
        for (program, name) in [
            ("docker", "docker"), ("podman", "podman"), ("nerdctl", "nerdctl"), ("ctr", "containerd"),
            ("crictl", "crictl"), ("lxc-info", "lxc"),
        ] where tool.find(program) != nil {
            names.insert(name, at: 0)
        }
        return names
    }

    /// - Parameter isNamed: the engine was named, so that its errors are the operator's to see.
    private func candidates(
        _ name: String, _ engine: ContainerReference.Engine, isNamed: Bool
    ) async throws(AttachError) -> [Candidate] {
        switch engine {
        case .docker, .podman: return try await inspect(engine.rawValue, name, engine, isNamed: isNamed)
        case .containerd:
            let named = try await inspect("nerdctl", name, engine, isNamed: false)
            if !named.isEmpty { return named }
            return try await containerd(name, isNamed: isNamed)
        case .cri: return try await cri(name, isNamed: isNamed)
        case .lxc: return try await lxc(name, isNamed: isNamed)
        case .pid:
            guard let number = Int32(name), number > 0, ProcessIdentity(living: number) != nil else { return [] }
            return [Candidate(engine: .pid, displayName: "pid:\(number)", process: number)]
        case .netns:
            guard !name.contains("/"), NamespaceIdentity(path: "/run/netns/\(name)") != nil else { return [] }
            return [Candidate(engine: .netns, displayName: name)]
        }
    }

    /// - Returns: the standard output; `nil` when the program is not there or knows nothing.
    private func ask(_ program: String, _ arguments: [String], isNamed: Bool) async throws(AttachError) -> String? {
        guard tool.find(program) != nil else {
            guard isNamed else { return nil }
            throw AttachError("\(program) is not installed, so its containers cannot be found")
        }
        let outcome = try await tool.attempt(program, arguments)
        if outcome.succeeded { return outcome.output }
        let words = outcome.errors.lowercased()
        let isUnknown = ["no such", "not found", "notfound", "does not exist", "doesn't exist", "invalid"].contains {
            words.contains($0)
        }
        if words.contains("multiple ids") || words.contains("ambiguous") || words.contains("more than one result") {
            throw AttachError(
                "more than one container: \(program): \(outcome.complaint)", remedy: "give more of the id")
        }
        // An engine that does not run has no containers; named, it has to answer.
        guard isNamed, !isUnknown else { return nil }
        throw AttachError("\(program): \(outcome.complaint)")
    }

    /// `docker inspect` and what speaks like it.
    private func inspect(
        _ program: String, _ name: String, _ engine: ContainerReference.Engine, isNamed: Bool
    ) async throws(AttachError) -> [Candidate] {
        struct Entry: Decodable {
            struct State: Decodable { var Pid: Int32? }
            var Id: String
            var Name: String?
            var State: State
        }
        let text = try await ask(program, ["inspect", "--type", "container", "--", name], isNamed: isNamed)
        guard let text, let entries = try? JSONDecoder().decode([Entry].self, from: Data(text.utf8)) else { return [] }
        return entries.map { entry in
            let shown = entry.Name.map { String($0.trimmingPrefix("/")) } ?? name
            return Candidate(engine: engine, id: entry.Id, displayName: shown, process: entry.State.Pid ?? 0)
        }
    }

    /// `ctr tasks ls` in each of its namespaces, or the one that the name begins with.
    private func containerd(_ name: String, isNamed: Bool) async throws(AttachError) -> [Candidate] {
        var (wantedSpace, id): (String?, String) = (nil, name)
        if case (let space, .some(let rest)) = name.halves(at: "/") {
            (wantedSpace, id) = (String(space), String(rest))
        }
        // ctr waits for ten seconds where nobody listens.
        let socket = getenv("CONTAINERD_ADDRESS").map { String(cString: $0) } ?? "/run/containerd/containerd.sock"
        guard isNamed || access(socket, F_OK) == 0 else { return [] }
        guard let spaces = try await ask("ctr", ["namespaces", "ls", "--quiet"], isNamed: isNamed) else { return [] }
        var found: [Candidate] = []
        for space in spaces.split(whereSeparator: \.isWhitespace).map(String.init)
        where wantedSpace == nil || wantedSpace == space {
            let text = try await ask("ctr", ["--namespace", space, "tasks", "ls"], isNamed: isNamed) ?? ""
            for line in text.split(whereSeparator: \.isNewline).dropFirst() {
                let words = line.split(whereSeparator: \.isWhitespace)
                guard words.count >= 3, let process = Int32(words[1]) else { continue }
                // As little of an id as docker takes.
                guard words[0] == id || id.utf8.count >= 4 && words[0].hasPrefix(id) else { continue }
                let runs = words[2] == "RUNNING" || words[2] == "PAUSED"
                found.append(
                    Candidate(
                        engine: .containerd, id: "\(space)/\(words[0])", displayName: String(words[0]),
                        process: runs ? process : 0))
            }
        }
        return found
    }

    private func cri(_ name: String, isNamed: Bool) async throws(AttachError) -> [Candidate] {
        struct Answer: Decodable {
            struct Status: Decodable {
                struct Metadata: Decodable { var name: String? }
                var id: String
                var metadata: Metadata?
            }
            struct Info: Decodable { var pid: Int32? }
            var status: Status
            var info: Info?
        }
        let text = try await ask("crictl", ["inspect", "--output", "json", name], isNamed: isNamed)
        guard let text, let answer = try? JSONDecoder().decode(Answer.self, from: Data(text.utf8)) else { return [] }
        return [
            Candidate(
                engine: .cri, id: answer.status.id, displayName: answer.status.metadata?.name ?? name,
                process: answer.info?.pid ?? 0)
        ]
    }

    private func lxc(_ name: String, isNamed: Bool) async throws(AttachError) -> [Candidate] {
        guard let text = try await ask("lxc-info", ["-n", name, "-p", "-H"], isNamed: isNamed) else { return [] }
        guard let process = Int32(text.prefix { $0.isNumber }) else { return [] }
        return [Candidate(engine: .lxc, id: name, displayName: name, process: process)]
    }
}
