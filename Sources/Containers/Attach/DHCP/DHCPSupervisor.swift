import Glibc
import LinuxSystem
import Netlink

/// Runs a DHCP client of the host in a container's network namespace, for as long as the attachment lives.
struct DHCPSupervisor: Sendable {
    let tool: CommandTool
    /// Where logs, leases and process ids are; gone after a reboot.
    let directory: String
    /// The program that clients run for each event; this one, under ``DHCPScript/programName``.
    let program: String
    /// How long the first address may take.
    var limit: Duration = .seconds(30)

    /// Starts the client and waits for nothing.
    ///
    /// - Throws: ``AttachError`` when there is no client.
    func launch(
        _ request: DHCPRequest, on name: InterfaceName, hostName: String, attachment: String,
        in container: ResolvedContainer
    ) throws(AttachError) -> ProcessIdentity {
        let client = try choose(request.client)
        let script = "\(directory)/\(DHCPScript.programName)"
        do {
            try StateFile.makeDirectory(directory)
            // Made anew each time, since the program may have been put elsewhere.
            unlink(script)
            try systemCall("symlink", script) { symlink(program, script) }
            if client.kind == .dhclient {
                try StateFile.write(
                    "send host-name \"\(hostName.filter { $0 != "\"" && $0 != "\\" })\";\n",
                    to: "\(directory)/\(attachment).dhclient.conf")
            }
        } catch {
            throw AttachError("\(error)")
        }
        let command = client.command(
            on: name, hostName: hostName, options: request.options, files: "\(directory)/\(attachment)", script: script)
        return try DetachedProcess.start(
            command, log: logPath(attachment), in: container.handle.namespace)
    }

    /// Ends a client; `nil` looks for one that was started and never written down.
    func stop(_ process: ProcessIdentity?, attachment: String) async throws(AttachError) {
        if let process = process ?? lost(attachment), await !DetachedProcess.end(process) {
            throw AttachError("the DHCP client, process \(process.id), does not end")
        }
        for ending in ["dhcp.log", "dhcp.pid", "dhclient.conf", "dhclient.leases"] {
            unlink("\(directory)/\(attachment).\(ending)")
        }
    }

    private func logPath(_ attachment: String) -> String { "\(directory)/\(attachment).dhcp.log" }

    private func lost(_ attachment: String) -> ProcessIdentity? {
        let path = "\(directory)/\(attachment).dhcp.pid"
        guard
            let text = try? TextFile.read(path), let id = Int32(text.prefix { $0.isNumber }),
            let process = ProcessIdentity(living: id),
            let command = try? TextFile.read("/proc/\(id)/cmdline"), command.contains(path)
        else { return nil }
        return process
    }

    private func choose(_ wanted: DHCPRequest.Client?) throws(AttachError) -> DHCPClientProgram {
        for kind in DHCPRequest.Client.allCases where wanted == nil || wanted == kind {
            if let path = tool.find(kind.rawValue) { return DHCPClientProgram(kind: kind, words: [path]) }
            if kind == .udhcpc, let path = tool.find("busybox") {
                return DHCPClientProgram(kind: kind, words: [path, "udhcpc"])
            }
        }
        throw AttachError(
            wanted.map { "the DHCP client \($0.rawValue) is not installed" } ?? "no DHCP client is installed",
            remedy: "install udhcpc, isc-dhcp-client or dhcpcd-base on this host")
    }

    /// Waits for a client's first address.
    ///
    /// - Parameter isIPv6: whether that is what the client asks for.
    /// - Throws: ``AttachError`` when no server answers, or the client ends.
    func waitForAddress(
        on name: InterfaceName, of process: ProcessIdentity, isIPv6: Bool, attachment: String,
        in container: ResolvedContainer
    ) async throws(AttachError) {
        let inside = try NamespaceNetwork("the container", namespace: container.handle.namespace)
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        while true {
            if try hasAddress(inside, name, isIPv6: isIPv6) { return }
            DetachedProcess.reap(process)
            guard process.isAlive else {
                throw AttachError("the DHCP client ended without an address: \(lastWords(attachment))")
            }
            guard clock.now < deadline else {
                throw AttachError(
                    "no DHCP server answered within \(limit) on \(name): \(lastWords(attachment))",
                    remedy: "is there a server on that network?")
            }
            do {
                try await Task.sleep(for: .milliseconds(50))
            } catch {
                throw .interrupted
            }
        }
    }

    /// Router advertisements bring an IPv6 address without any server, which is no answer to a client for IPv4.
    private func hasAddress(
        _ inside: NamespaceNetwork, _ name: InterfaceName, isIPv6: Bool
    ) throws(AttachError) -> Bool {
        let index = try inside.existing(name).index
        return try inside.addresses(of: index).contains {
            $0.address.isIPv6 == isIPv6 && $0.scope == .universe && !$0.flags.contains(.tentative)
        }
    }

    private func lastWords(_ attachment: String) -> String {
        let text = (try? TextFile.read(logPath(attachment))) ?? ""
        return text.split(whereSeparator: \.isNewline).last.map(String.init) ?? "it said nothing"
    }
}

/// A client that is installed, and how it is called.
struct DHCPClientProgram: Hashable, Sendable {
    var kind: DHCPRequest.Client
    /// The program, with busybox's word for it.
    var words: [String]

    /// Options that would end the client or send it into the background, where nobody would know it.
    private static let refused: Set<String> = ["-q", "-n", "-b", "-f", "-d", "-1", "-B"]

    /// - Parameter files: the beginning of the names of files that the client may use.
    func command(on name: InterfaceName, hostName: String, options: [String], files: String, script: String) -> [String]
    {
        let options = options.filter { !Self.refused.contains($0) }
        switch kind {
        case .udhcpc:
            return words
                + ["-f", "-R", "-i", name.text, "-x", "hostname:\(hostName)", "-s", script, "-p", "\(files).dhcp.pid"]
                + ["-A", "5"] + options
        case .dhclient:
            return words + ["-d", "-pf", "\(files).dhcp.pid", "-lf", "\(files).dhclient.leases"]
                + ["-cf", "\(files).dhclient.conf", "-sf", script] + options + [name.text]
        case .dhcpcd:
            // It keeps its files under the interface's name, which other containers have too. Its hooks would write the
            // host's resolv.conf.
            let shell =
                "mkdir -p /run/dhcpcd /var/lib/dhcpcd; mount -t tmpfs none /run/dhcpcd && "
                + "mount -t tmpfs none /var/lib/dhcpcd && exec \"$@\""
            return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", shell, "dhcpcd"]
                + words + ["-B", "-h", hostName, "-c", "/bin/true"] + options + [name.text]
        }
    }
}
