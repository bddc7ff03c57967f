import LinuxSystem
import Netlink

/// The interfaces of the namespace by name and by index. State is kept by name and resolved late, since an interface that
/// is made again has another index.
struct InterfaceTable {
    private(set) var indices: [InterfaceName: Int32] = [:]
    private(set) var names: [Int32: InterfaceName] = [:]
    private var flags: [Int32: LinkFlags] = [:]
    /// Interfaces that were given another name while somebody looked, by the name they had.
    private(set) var renamed: [InterfaceName: Int32] = [:]

    init() {}

    /// - Parameter former: what was known before of the same namespace.
    init(_ links: [Link], after former: InterfaceTable = InterfaceTable()) {
        names = former.names
        renamed = former.renamed
        for link in links { _ = note(link) }
        let present = Set(links.map(\.index))
        names = names.filter { present.contains($0.key) }
        renamed = renamed.filter { present.contains($0.value) && indices[$0.key] == nil }
    }

    /// Takes in what the kernel says of a link, a new name included.
    ///
    /// - Returns: whether it is new, was renamed, or went up or down (a lost carrier included).
    mutating func note(_ link: Link) -> Bool {
        let interesting: LinkFlags = [.up, .lowerUp]
        let before = flags[link.index]?.intersection(interesting)
        let formerName = names[link.index]
        if let formerName, formerName != link.name {
            indices[formerName] = nil
            renamed[formerName] = link.index
        }
        indices[link.name] = link.index
        names[link.index] = link.name
        flags[link.index] = link.flags
        return before != link.flags.intersection(interesting) || formerName != link.name
    }

    /// Set up by the administrator; routes cannot be put on one that isn't.
    func isUp(_ name: InterfaceName) -> Bool {
        indices[name].flatMap { flags[$0] }?.contains(.up) ?? false
    }

    mutating func remove(_ link: Link) {
        names[link.index] = nil
        flags[link.index] = nil
        if indices[link.name] == link.index { indices[link.name] = nil }
    }
}
