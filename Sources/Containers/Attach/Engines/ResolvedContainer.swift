/// A container that runs, found by its engine.
struct ResolvedContainer: Sendable {
    var engine: ContainerReference.Engine
    /// The engine's id; `nil` for a process or a named namespace.
    var id: String?
    /// The engine's name of it, or what the operator called it.
    var displayName: String
    /// Its namespace, held open.
    var handle: ContainerHandle

    /// `nil` for a named namespace.
    var process: ProcessIdentity? { handle.process }
}
