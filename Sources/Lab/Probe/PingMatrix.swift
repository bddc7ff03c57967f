/// The result of pings between all containers.
public struct PingMatrix: Hashable, Sendable {
    /// `c1.h1` and so on.
    public let names: [String]
    /// By source and destination; `nil` from a container to itself.
    public let tallies: [[EchoProbe.Tally?]]

    /// No request was lost between any two containers.
    public var isComplete: Bool { tallies.joined().allSatisfy { $0.map { $0.lost == 0 } ?? true } }
}
