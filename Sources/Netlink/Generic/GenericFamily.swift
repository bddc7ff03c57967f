/// A family of generic netlink, as the kernel numbers it since it started (genetlink(7), `CTRL_CMD_GETFAMILY`).
public struct GenericFamily: Hashable, Sendable {
    /// For example `nlctrl`.
    public var name: String
    /// The message type of the family.
    public var id: UInt16
    /// The version of the family's commands.
    public var version: UInt32
    /// The size of the family's own header, in bytes; 0 for almost all.
    public var headerSize: UInt32
    /// The numbers of the multicast groups, for ``NetlinkMessages``.
    public var multicastGroups: [String: UInt32]

    /// All fields as given.
    public init(
        name: String, id: UInt16, version: UInt32 = 1, headerSize: UInt32 = 0, multicastGroups: [String: UInt32] = [:]
    ) {
        self.name = name
        self.id = id
        self.version = version
        self.headerSize = headerSize
        self.multicastGroups = multicastGroups
    }
}

/// A command to a family, or its answer.
public struct GenericCommand: Hashable, Sendable {
    /// The family's number for it.
    public var command: UInt8
    /// In the order they are sent or came.
    public var attributes: [Attribute]

    /// All fields as given.
    public init(command: UInt8, attributes: [Attribute] = []) {
        self.command = command
        self.attributes = attributes
    }
}

/// A command of a batch that the kernel refused.
public struct GenericFailure: Error, Hashable, Sendable {
    /// The place in the batch, from 0.
    public var position: Int
    /// The kernel's answer.
    public var refusal: KernelRefusal
}

extension GenericFailure: CustomStringConvertible {
    /// The refusal's text; the position is left out.
    public var description: String { "\(refusal)" }
}
