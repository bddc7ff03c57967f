import IPNetwork
import LinuxSystem

/// An attachment as it is written down, before and while it is made, so that it can be undone whatever happens.
struct AttachmentRecord: Hashable, Codable, Sendable {
    static let currentVersion = 1

    /// ``currentVersion``; another is refused.
    var version = Self.currentVersion
    /// The file's name: 12 hexadecimal digits.
    var id: String
    var request: AttachmentRequest
    /// What the parent was taken for.
    var kind: AttachmentRequest.Kind
    var state: State
    /// The kernel's `boot_id`: nothing of the kernel's outlives it.
    var boot: String
    /// The namespace that counts as the host.
    var host: NamespaceIdentity?
    var target: Target?
    /// Later attachments have higher numbers, and are undone first.
    var sequence: UInt64?
    /// In order.
    var performed: [PerformedStep] = []
    /// Begun, and perhaps done.
    var pending: PerformedStep?
    /// Interfaces of the host that this attachment uses with others.
    var shared: [InterfaceName] = []
    /// Those of them that Weft made, and that go with the last attachment.
    var owned: [OwnedInterface] = []

    enum State: String, Hashable, Codable, Sendable {
        /// Being made; found so by nobody else at work, it is undone.
        case applying
        case attached
        /// Kept, and the container does not run.
        case waiting
    }

    /// The container that it was made in.
    struct Target: Hashable, Codable, Sendable {
        var engine: ContainerReference.Engine
        var id: String?
        var displayName: String
        var process: ProcessIdentity?
        var namespace: NamespaceIdentity
    }

    /// A bridge, a switch or a VLAN that Weft made.
    struct OwnedInterface: Hashable, Codable, Sendable {
        var name: InterfaceName
        var kind: Kind
        /// A bridge's, by which it is known.
        var hardwareAddress: MACAddress?
        /// A VLAN's lower interface and tag.
        var lower: InterfaceName?
        var vlan: UInt16?

        enum Kind: String, Hashable, Codable, Sendable {
            case bridge
            case openVSwitch = "ovs"
            case vlan
        }

        init?(_ step: AttachmentStep) {
            switch step {
            case .createBridge(let name, let address):
                self.name = name
                kind = .bridge
                hardwareAddress = address
            case .createSwitch(let name):
                self.name = name
                kind = .openVSwitch
            case .createVLAN(let name, let lower, let id, _):
                self.name = name
                kind = .vlan
                self.lower = lower
                vlan = id
            default: return nil
            }
        }
    }

    /// With nothing but what outlives the kernel: Open vSwitch's database. Of the rest another may have the name by now.
    var survivingBoot: AttachmentRecord {
        var copy = self
        copy.performed = allSteps.filter { if case .addPort = $0.step { true } else { false } }
        copy.pending = nil
        copy.owned = owned.filter { $0.kind == .openVSwitch }
        return copy
    }

    /// The same request, with nothing done for it.
    var waiting: AttachmentRecord {
        var copy = self
        copy.state = .waiting
        copy.performed = []
        copy.pending = nil
        copy.owned = []
        copy.shared = []
        return copy
    }

    /// Every step that may have been done.
    var allSteps: [PerformedStep] { performed + (pending.map { [$0] } ?? []) }

    /// Whether the container that it was made in still runs.
    var isTargetAlive: Bool {
        guard let target, boot == Boot.id else { return false }
        if let process = target.process {
            // A process may move to another namespace; what was attached stays in the old one.
            return process.isAlive && NamespaceIdentity(path: "/proc/\(process.id)/ns/net") == target.namespace
        }
        return NamespaceIdentity(path: "/run/netns/\(target.displayName)") == target.namespace
    }
}

/// This run of the kernel.
enum Boot {
    static let id: String = {
        let text = try? TextFile.read("/proc/sys/kernel/random/boot_id")
        return String((text ?? "unknown").prefix { !$0.isNewline })
    }()
}
