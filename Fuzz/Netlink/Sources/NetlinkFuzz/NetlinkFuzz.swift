import Netlink

/// What libFuzzer calls with each input: a datagram from the kernel. Whatever is decoded is encoded again, so that
/// every value a decoder can make is one that the encoders bear.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let datagram = Array(UnsafeBufferPointer(start: start, count: count))
    guard let events = try? NetlinkEvent.decode(datagram: datagram) else { return 0 }
    for event in events { _ = request(for: event)?.encoded() }
    return 0
}

private func request(for event: NetlinkEvent) -> RouteRequest? {
    switch event {
    case .linkChanged(let link), .linkRemoved(let link):
        link.kind.map { .createLink(NewLink(name: link.name, kind: $0, mtu: link.mtu, lower: link.lower)) }
    case .addressChanged(let address), .addressRemoved(let address): .addAddress(address)
    case .routeChanged(let route), .routeRemoved(let route): .addRoute(route)
    case .ruleChanged(let rule), .ruleRemoved(let rule): .addRule(rule)
    case .neighbourChanged(let neighbour), .neighbourRemoved(let neighbour): .replaceNeighbour(neighbour)
    case .forwardingEntryChanged(let entry), .forwardingEntryRemoved(let entry): .replaceForwardingEntry(entry)
    case .nexthopChanged(let nexthop), .nexthopRemoved(let nexthop): .replaceNexthop(nexthop)
    case .resync: nil
    }
}

/// libFuzzer's driver, for a program that has a main function of its own.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The name that SwiftPM gives to the entry point of this target.
@_cdecl("NetlinkFuzz_main")
public func start(_ count: CInt, _ arguments: UnsafeMutableRawPointer) -> CInt {
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, fuzz)
}
