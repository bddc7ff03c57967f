import EtcdAPI
import FoundationEssentials
import GRPCCore
import Leases

extension V3Session {
    func watch(
        after revision: Int64, _ handle: @escaping @Sendable ([SubnetEvent]) -> Void
    ) async throws(StoreError) -> WatchEnd {
        let config = EtcdWatchCreateRequest.with {
            $0.key = Data(keys.config.utf8)
            $0.startRevision = revision + 1
        }
        let subnets = EtcdWatchCreateRequest.with {
            $0.key = Data(keys.subnets.utf8)
            $0.rangeEnd = keys.subnetsEnd
            $0.startRevision = revision + 1
            // Without, a thousand large events could exceed what a message may be.
            $0.fragment = true
        }
        let subject = RequestSubject("watch leases", key: keys.subnets)
        var watchOptions = options
        watchOptions.timeout = nil
        do {
            return try await EtcdWatch.Client(wrapping: client).watch(
                metadata: metadata, options: watchOptions,
                requestProducer: { writer in
                    for create in [subnets, config] {
                        try await writer.write(.with { $0.createRequest = create })
                    }
                    // A request stream that ends may end the watch too.
                    try await Task.sleep(for: .seconds(1 << 32))
                },
                onResponse: { [keys] response in
                    for try await answer in response.messages {
                        if answer.canceled {
                            if answer.compactRevision != 0 { return .compacted }
                            try Self.throwIfFatal(answer.cancelReason)
                            return .cancelled(answer.cancelReason.isEmpty ? "no reason given" : answer.cancelReason)
                        }
                        let events = answer.events.map { keys.event($0) }
                        if !events.isEmpty { handle(events) }
                    }
                    return .cancelled("the server closed the stream")
                })
        } catch {
            throw StoreError(error, at: endpoint, subject, user: store.configuration.credentials?.user)
        }
    }

    /// A watch that the user may not have is refused by a cancellation whose text holds the gRPC error.
    private static func throwIfFatal(_ reason: String) throws {
        if reason.contains("permission denied") { throw RPCError(code: .permissionDenied, message: reason) }
        if reason.contains("invalid auth token") { throw RPCError(code: .unauthenticated, message: reason) }
    }
}

extension V3Keys {
    fileprivate func event(_ event: EtcdEvent) -> SubnetEvent {
        let deleted = event.type == .delete
        if event.kv.key == Data(config.utf8) { return .config(deleted ? nil : [UInt8](event.kv.value)) }
        return deleted ? .removed(name: name(event.kv.key), revision: event.kv.modRevision) : .put(record(event.kv))
    }
}
