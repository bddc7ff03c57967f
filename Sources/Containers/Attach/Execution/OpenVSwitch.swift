import LinuxSystem

/// Open vSwitch, by `ovs-vsctl`. Each call is one transaction of its database.
struct OpenVSwitch: Sendable {
    let tool: CommandTool

    /// Marks what Weft made in the database.
    private static let mark = "external-ids:weft-attach"
    private static let options = ["--timeout=15"]

    /// `nil` when it is not installed.
    ///
    /// - Throws: ``AttachError`` when its database does not answer, so that nobody knows what is in it.
    func switches() async throws(AttachError) -> Set<String>? {
        guard tool.find("ovs-vsctl") != nil else { return nil }
        let outcome = try await tool.attempt("ovs-vsctl", ["--timeout=5", "list-br"])
        guard outcome.succeeded else {
            throw AttachError(
                "the database of Open vSwitch does not answer: \(outcome.complaint)",
                remedy: "start Open vSwitch, or remove its package")
        }
        return Set(outcome.output.split(whereSeparator: \.isNewline).map(String.init))
    }

    func create(_ name: InterfaceName) async throws(AttachError) {
        try await tool.require(
            "ovs-vsctl",
            Self.options + ["add-br", name.text, "--", "set", "Bridge", name.text, "\(Self.mark)=true"])
    }

    /// Removes a bridge that Weft made and that has no port any more.
    func removeUnused(_ name: InterfaceName) async throws(AttachError) {
        guard try await switches()?.contains(name.text) == true else { return }
        let marks = try await tool.require("ovs-vsctl", Self.options + ["get", "Bridge", name.text, "external-ids"])
        guard marks.contains("weft-attach"), try await ports(of: name).isEmpty else { return }
        try await tool.require("ovs-vsctl", Self.options + ["--if-exists", "del-br", name.text])
    }

    func ports(of name: InterfaceName) async throws(AttachError) -> [String] {
        let text = try await tool.require("ovs-vsctl", Self.options + ["list-ports", name.text])
        return text.split(whereSeparator: \.isNewline).map(String.init)
    }

    /// - Parameter container: its id and name, for those who look at the database; pipework's keys, which tools know.
    func add(
        _ port: InterfaceName, to name: InterfaceName, tag: UInt16?, container: ResolvedContainer
    ) async throws(AttachError) {
        var identifiers = ["interface=\(port)", "bridge=\(name)"]
        if let id = container.id { identifiers.append("containerid=\(id)") }
        identifiers.append("containername=\(container.displayName)")
        if let process = container.process { identifiers.append("nspid=\(process.id)") }
        if let tag { identifiers.append("vlan=\(tag)") }
        try await tool.require(
            "ovs-vsctl",
            Self.options + ["add-port", name.text, port.text] + (tag.map { ["tag=\($0)"] } ?? [])
                + ["--", "set", "Interface", port.text, "\(Self.mark)=true"]
                + identifiers.map { Self.identifier($0) })
    }

    /// The value in quotes, since the database's own syntax has a meaning for colons and commas.
    private static func identifier(_ text: String) -> String {
        let (key, value) = text.halves(at: "=")
        let plain = (value ?? "").filter { $0 != "\"" && $0 != "\\" }
        return "external-ids:pipework.\(key)=\"\(plain)\""
    }

    func remove(_ port: InterfaceName, from name: InterfaceName) async throws(AttachError) {
        // Where Open vSwitch itself is gone, so is the port. One that only does not answer has it still.
        guard try await switches() != nil else { return }
        try await tool.require("ovs-vsctl", Self.options + ["--if-exists", "del-port", name.text, port.text])
    }
}
