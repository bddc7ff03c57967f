import Glibc
import IPNetwork
import LinuxSystem
import Netlink

/// Bridges, switches and VLANs that Weft made: they go with the last attachment that uses them.
struct SharedInterfaces: Sendable {
    let host: NamespaceNetwork
    let openVSwitch: OpenVSwitch
    let store: AttachmentStore

    /// Gives what an attachment owned to another that uses it, or removes it when nobody does, the operator included.
    ///
    /// - Returns: what could not be removed.
    func release(_ record: AttachmentRecord) async -> [AttachError] {
        var failures: [AttachError] = []
        let others = store.load().records.filter { $0.id != record.id && $0.host == record.host }
        for owned in record.owned {
            do {
                if var heir = others.first(where: { $0.state != .waiting && $0.shared.contains(owned.name) }) {
                    // Read again: an earlier round may have given it something.
                    heir = store.load().records.first { $0.id == heir.id } ?? heir
                    if !heir.owned.contains(owned) { heir.owned.append(owned) }
                    try store.save(heir)
                } else {
                    try await remove(owned)
                }
            } catch {
                failures.append(error)
            }
        }
        return failures
    }

    private func remove(_ owned: AttachmentRecord.OwnedInterface) async throws(AttachError) {
        if owned.kind == .openVSwitch { return try await openVSwitch.removeUnused(owned.name) }
        let links = try host.links()
        guard let link = links.first(where: { $0.name == owned.name }) else { return }
        switch (owned.kind, link.kind) {
        case (.bridge, .bridge): guard link.hardwareAddress == owned.hardwareAddress else { return }
        case (.vlan, .vlan(let settings)): guard settings.id == owned.vlan else { return }
        default: return
        }
        // A port, a sub-interface or an address of the operator's: it is in use.
        guard
            !links.contains(where: { $0.controller == link.index || $0.lower == link.index && $0.index != link.index })
        else { return }
        guard try !host.addresses(of: link.index).contains(where: { $0.scope == .universe }) else { return }
        if link.controller != nil { return }
        try host.apply(.deleteLink(index: link.index), tolerating: [ENODEV])
    }
}
