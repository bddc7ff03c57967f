import ArgumentParser
import Containers
import FoundationEssentials
import Glibc
import LinuxSystem

struct AttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Give a running container one more interface, as pipework does.",
        usage: """
            weft attach <interface> <container> <address>/<length>[@<gateway>] [<mac>][@<vlan>]
            weft attach <interface> <container> dhcp [<mac>][@<vlan>]
            weft attach route|rule|tc <container> [--] <arguments> ...
            weft attach --list | --watch | --wait
            """,
        discussion: """
            The interface is a bridge (br..., made when it is not there), an Open vSwitch (ovs...), a physical interface, on
            which a macvlan is put, mac: and the address of one, or dummy. The container is a name or an id of Docker,
            Podman, containerd, CRI or LXC, pid:NUMBER, or netns:NAME; docker:NAME and so on say whose it is. The address 0/0
            sets none.

            All is undone when a step fails, by weft detach, and when the container ends. With --keep the interface comes back
            when the container starts again. A watcher in the background sees to that; weft-attach.service is the same as a
            service. Called as pipework, this program takes pipework's command lines.
            """)

    @Argument(help: .hidden) var words: [String] = []

    @Option(name: [.customShort("i"), .long], help: "The interface's name in the container. (default: eth1)")
    var name: String?
    @Option(name: [.customShort("l"), .long], help: "The name of the host's end of a veth pair.")
    var hostName: String?
    @Option(name: [.customShort("a"), .long], help: ArgumentHelp("What the address has to be.", valueName: "4|6"))
    var family: String?
    @Option(
        help: ArgumentHelp("One more address; may be given several times.", valueName: "address/length[@gateway]"))
    var address: [String] = []
    @Option(help: ArgumentHelp("The MAC address; U:TEXT makes one that is always the same.", valueName: "mac"))
    var mac: String?
    @Option(help: "The VLAN, 1 to 4094, on an Open vSwitch or a physical interface.")
    var vlan: String?
    @Option(help: "Bytes. (default: the parent's)")
    var mtu: UInt32?
    @Option(
        help:
            "What to take the interface for: \(AttachmentRequest.Kind.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var type: AttachmentRequest.Kind?
    @Flag(name: .customLong("direct-phys"), help: "Move the physical interface itself into the container.")
    var isDirect = false
    @Flag(help: "Attach again whenever the container starts.")
    var keep = false
    @Flag(help: "Leave no watcher in the background. What stays behind goes at the next weft attach or detach.")
    var noWatch = false
    @Flag(help: "Show what is attached.")
    var list = false
    @Flag(help: "With --list: as JSON.")
    var json = false
    @Flag(help: "Look after all attachments until stopped.")
    var watch = false
    @Flag(help: "Wait until an interface of this namespace (-i) is up.")
    var wait = false
    @Flag(help: .hidden) var untilIdle = false
    @OptionGroup var state: AttachState

    func run() async throws {
        try await AttachRun.reporting {
            if list { return show() }
            if watch { return try await AttachRun.watch(state.attacher, untilIdle: untilIdle) }
            if wait {
                let name = try name.map { try InterfaceName(argument: $0) } ?? AttachmentRequest.usualName
                return try await AttachRun.wait(name, with: state.attacher)
            }
            var arguments = AttachArguments(words: words)
            arguments.name = name
            arguments.hostName = hostName
            arguments.family = family
            arguments.addresses = address
            arguments.hardwareAddress = mac
            arguments.vlan = vlan
            arguments.mtu = mtu
            arguments.kind = type
            arguments.isDirect = isDirect
            arguments.isKept = keep
            let attacher = state.attacher
            let command = try arguments.commandLine { attacher.hasInterface($0) }
            try await AttachRun.run(command, with: attacher, state: state, watches: !noWatch)
        }
    }

    private func show() {
        let (attachments, refused) = state.attacher.list()
        for line in refused { Output.error(line) }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            Output.line((try? encoder.encode(attachments)).map { String(decoding: $0, as: UTF8.self) } ?? "[]")
            return
        }
        let rows = attachments.map { each in
            [
                each.container, each.interface, each.kind, each.parent ?? "-",
                each.addresses.isEmpty ? "-" : each.addresses.joined(separator: ","),
                each.vlan.map { "\($0)" } ?? "-", each.isKept ? "yes" : "no", each.state,
            ]
        }
        let table = [["CONTAINER", "INTERFACE", "TYPE", "ON", "ADDRESS", "VLAN", "KEPT", "STATE"]] + rows
        for row in table {
            let cells = row.enumerated().map { column, cell in
                let width = table.map { $0[column].count }.max() ?? 0
                return cell + String(repeating: " ", count: width - cell.count)
            }
            Output.line(cells.joined(separator: "  ").trimmingTrailingSpaces)
        }
    }
}

struct DetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Take away what weft attach gave a container.")

    @Argument(help: "The container, as weft attach --list shows it, or its id.") var container: String
    @Option(name: [.customShort("i"), .long], help: "One interface. (default: all)") var name: String?
    @OptionGroup var state: AttachState

    func run() async throws {
        try await AttachRun.reporting {
            let detached = try await state.attacher.detach(
                try ContainerReference(parsing: container), name: name.map { try InterfaceName(argument: $0) })
            for each in detached { Output.line("\(each.interface) of \(each.container) is detached") }
        }
    }
}

/// Where the records are.
struct AttachState: ParsableArguments {
    @Option(help: .hidden) var stateDirectory =
        getenv("WEFT_ATTACH_STATE").map { String(cString: $0) }
        ?? Attacher.usualStateDirectory
    @Option(help: .hidden) var runDirectory =
        getenv("WEFT_ATTACH_RUN").map { String(cString: $0) }
        ?? Attacher.usualRunDirectory

    var attacher: Attacher {
        Attacher(stateDirectory: stateDirectory, runDirectory: runDirectory, program: AttachRun.program)
    }
}

extension AttachmentRequest.Kind: ExpressibleByArgument {}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        String(reversed().drop { $0 == " " }.reversed())
    }
}
