/// A container, process or network namespace as an operator names it: `web1`, `docker:web1`, `pid:4711`, `netns:blue`.
public struct ContainerReference: Hashable, Codable, Sendable {
    /// Who is asked; `nil` asks everybody who is there, and more than one answer is refused.
    public var engine: Engine?
    /// A name, an id or the beginning of one; a number for a process; for containerd also `NAMESPACE/ID`.
    public var name: String

    /// Who knows containers.
    public enum Engine: String, CaseIterable, Hashable, Codable, Sendable {
        case docker
        case podman
        /// By nerdctl's names, or ids as `ctr` lists them.
        case containerd
        /// A Kubernetes node's containers, by `crictl`.
        case cri
        case lxc
        /// Any process, by its number.
        case pid
        /// A namespace of `ip netns`.
        case netns
    }

    /// - Throws: ``AttachError`` for a name that nothing can have.
    public init(parsing text: some StringProtocol) throws(AttachError) {
        let (first, rest) = text.halves(at: ":")
        if let rest, let engine = Engine(rawValue: String(first)) {
            self.engine = engine
            name = String(rest)
        } else if let name = Self.namespaceName(String(text)) {
            engine = .netns
            self.name = name
        } else {
            name = String(text)
        }
        let isPlain = name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
        guard !name.isEmpty, name.utf8.count <= 255, isPlain, !name.hasPrefix("-") else {
            throw .usage("\"\(text)\" cannot be the name of a container", remedy: "give its name, its id or pid:NUMBER")
        }
        if engine == .pid, Int32(name).map({ $0 > 0 }) != true {
            throw .usage("\"\(name)\" is no process number", remedy: "give pid:NUMBER")
        }
        if engine == .netns, name.contains("/") || name == "." || name == ".." {
            throw .usage("\"\(name)\" is no name of a network namespace", remedy: "ip netns lists them")
        }
    }

    private static func namespaceName(_ path: String) -> String? {
        for folder in ["/var/run/netns/", "/run/netns/"] where path.hasPrefix(folder) {
            return String(path.dropFirst(folder.count))
        }
        return nil
    }
}

extension ContainerReference: CustomStringConvertible {
    /// As it is written on the command line.
    public var description: String { engine.map { "\($0.rawValue):\(name)" } ?? name }
}
