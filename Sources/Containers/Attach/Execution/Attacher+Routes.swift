import IPNetwork
import LinuxSystem

extension Attacher {
    /// Gives the default routes that an attachment replaced to later ones that replaced its own, so that the last of them to
    /// go puts them back. The lock is held.
    ///
    /// - Returns: the record without the routes that it has given away.
    func handOverRoutes(of record: AttachmentRecord) throws(AttachError) -> AttachmentRecord {
        var record = record
        var steps = record.allSteps
        for position in steps.indices.reversed() {
            guard case .setDefaultRoute(let name, let gateway, _) = steps[position].step else { continue }
            var isGiven = false
            for var heir in store.load().records
            where heir.id != record.id && heir.boot == record.boot && heir.target?.namespace == record.target?.namespace
            {
                let isChanged = heir.replaceSavedRoute(
                    on: name, gateway: gateway, with: steps[position].trace.routes)
                guard isChanged else { continue }
                try store.save(heir)
                isGiven = true
            }
            if isGiven { steps[position].trace.routes = [] }
        }
        if record.pending != nil { record.pending = steps.popLast() }
        record.performed = steps
        return record
    }
}

extension AttachmentRecord {
    /// - Returns: whether there was such a route.
    mutating func replaceSavedRoute(on name: InterfaceName, gateway: IPAddress, with routes: [SavedRoute]) -> Bool {
        var isChanged = false
        func replace(_ performed: inout PerformedStep) {
            guard case .setDefaultRoute = performed.step else { return }
            let saved = performed.trace.routes
            let kept = saved.filter { !($0.interface == name && $0.gateway == gateway && $0.destination.length == 0) }
            guard kept.count < saved.count else { return }
            performed.trace.routes = kept + routes.filter { !kept.contains($0) }
            isChanged = true
        }
        for position in performed.indices { replace(&performed[position]) }
        if var step = pending {
            replace(&step)
            pending = step
        }
        return isChanged
    }
}
