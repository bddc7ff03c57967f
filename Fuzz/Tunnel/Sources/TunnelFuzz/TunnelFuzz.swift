import CLinux
import Glibc
import IPNetwork

@testable import Tunnel

/// What libFuzzer calls with each input. Its first byte: bit 0 is 1 for a read from the TUN device, which begins with a
/// virtio header, and 0 for a message from the network, which begins with a segment size of two bytes; bits 1 and 2 choose
/// the check, bit 3 a stranger as sender, bit 4 a device without virtio headers, bit 5 a socket that segments nothing, bit
/// 6 a message of segments that continue one another, made of what follows (``Bait``).
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    run(Array(UnsafeRawBufferPointer(start: start, count: count)))
    return 0
}

/// Runs one input, and returns how many packets it had.
@discardableResult
func run(_ input: [UInt8]) -> Int {
    let mode = input[0]
    if mode & 1 == 1 {
        fuzzSend([input.dropFirst()], mode)
        return 1
    }
    let size = input.count > 2 ? Int(input[1]) | Int(input[2]) << 8 : 0
    return fuzzReceive(Array(input.dropFirst(3)), segmentSize: size, mode)
}

/// Memory of exactly the size of what is in it, so that the sanitizer sees one byte too many.
private func copy(_ bytes: some Collection<UInt8>) -> PacketBytes {
    let start = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
    UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
    return PacketBytes(start: start, count: bytes.count)
}

private func address(_ text: String) -> PacketBytes {
    var storage = sockaddr_storage()
    if let address = IPAddress(text) { _ = SocketAddress.write(address, 8285, to: &storage) }
    return withUnsafeBytes(of: &storage) { copy($0.prefix(28)) }
}

private func prefix(_ text: String) -> IPPrefix { IPPrefix(text) ?? .v4(.all) }

private func table(local: [String], _ peers: [(String, String)]) -> NextHopTable {
    NextHopTable(
        peers.map { NextHop(prefix: prefix($0.0), endpoint: IPAddress($0.1) ?? .v4(.any), port: 8285) },
        local: local.map(prefix))
}

/// A flow from 10.9.9.9 that nothing in the corpus has: TCP of four segments of 100 bytes.
private enum GoodFlow {
    static func segment(_ index: Int) -> [UInt8] {
        var bytes: [UInt8] = [0x45, 0, 0, 140, 0, UInt8(index), 0x40, 0, 60, 6, 0, 0, 10, 9, 9, 9, 10, 0, 2, 3]
        bytes += [0x12, 0x34, 0x56, 0x78, 0, 0, UInt8((index * 100) >> 8), UInt8((index * 100) & 255), 1, 2, 3, 4]
        bytes += [0x50, 0x10, 1, 0, 0, 0, 0, 0] + (0..<100).map { UInt8(truncatingIfNeeded: $0 * 7 + index * 31) }
        return Bait.finish(bytes)
    }
}

private struct Datagrams: DatagramSink {
    var seen: [Seen] = []

    mutating func send(_ batch: inout SendBatch, _ counters: CounterBlock) {
        for index in 0..<batch.messageCount {
            let header = batch.messages[index].msg_hdr
            var bytes: [UInt8] = []
            for piece in UnsafeBufferPointer(start: header.msg_iov, count: header.msg_iovlen) {
                bytes += UnsafeRawBufferPointer(start: piece.iov_base, count: piece.iov_len)
            }
            precondition(bytes.count <= 65507, "a message is too long")
            var size = bytes.count
            if header.msg_controllen > 0, let control = header.msg_control {
                size = Int(control.load(fromByteOffset: MemoryLayout<cmsghdr>.size, as: UInt16.self))
                precondition((bytes.count + size - 1) / size <= 64, "a message has too many datagrams")
            }
            for start in stride(from: 0, to: bytes.count, by: size) {
                let packet = Array(bytes[start..<min(start + size, bytes.count)])
                precondition(header.msg_namelen == (Reference.isIPv6(packet) ? 28 : 16), "sent to another peer")
                seen.append(Seen(packet: packet, wasCut: false))
            }
        }
    }

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) { writeError(packet, header, reason) }
}

private struct Packets: PacketSink {
    var hasHeader: Bool
    var seen: [Seen] = []

    mutating func write(_ pieces: UnsafeMutablePointer<iovec>, _ count: Int) -> WriteResult {
        var bytes: [UInt8] = []
        for piece in UnsafeBufferPointer(start: pieces, count: count) {
            bytes += UnsafeRawBufferPointer(start: piece.iov_base, count: piece.iov_len)
        }
        guard hasHeader else {
            seen.append(Seen(packet: bytes, wasCut: false))
            return .written
        }
        let offload = bytes.withUnsafeBytes { $0.loadUnaligned(as: virtio_net_hdr.self) }
        bytes.removeFirst(10)
        precondition(bytes.count <= 65535, "a packet is too long")
        guard offload.gso_type != 0 else {
            precondition(offload.flags == 0, "a packet alone has its checksum")
            seen.append(Seen(packet: bytes, wasCut: false))
            return .written
        }
        let isTCP = Int32(offload.gso_type) != VIRTIO_NET_HDR_GSO_UDP_L4
        let start = Int(offload.csum_start)
        let field = start + (isTCP ? 16 : 6)
        precondition(Int(offload.csum_offset) == field - start && start == Reference.headerLength(bytes))
        precondition(Reference.parse(bytes) == bytes && Reference.hasRightHeaderChecksum(bytes))
        precondition(Reference.transport(bytes) == (isTCP ? 6 : 17))
        let pseudo = Reference.pseudo(bytes, isTCP ? 6 : 17, bytes.count - start)
        precondition(Reference.sum([], 0..<0, pseudo) == Reference.word(bytes, field), "not the pseudo header's sum")
        let parts = Reference.cut(bytes, size: Int(offload.gso_size), isTCP: isTCP, transport: start)
        precondition(parts.count > 1 && parts.count <= 64, "a large packet of an impossible number of small ones")
        seen += parts.map { Seen(packet: $0, wasCut: true) }
        return .written
    }

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) { writeError(packet, header, reason) }
}

/// Writes the ICMP error that the loops would send.
private func writeError(_ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason) {
    guard ICMPError.isAllowed(packet, header) else { return }
    let source = copy([UInt8](repeating: 1, count: header.isIPv6 ? 16 : 4))
    let buffer = copy([UInt8](repeating: 0, count: ICMPError.limit))
    let length = ICMPError.write(about: packet, header, reason, from: source, to: buffer)
    precondition(length <= ICMPError.limit)
    source.start.deallocate()
    buffer.start.deallocate()
}

/// Made once, used for every input: a path that one input leaves unfit shows with the next.
private final class Paths {
    let counters = CounterBlock()
    var send: [SendPath<Datagrams>] = []
    var receive: [ReceivePath<Packets>] = []
    let sendTable = table(local: ["10.0.1.0/24"], [("10.0.0.0/16", "192.0.2.2"), ("fd00:2::/32", "2001:db8::2")])
    let receiveTable = table(
        local: ["10.0.2.0/24", "fd00:2::/64"],
        [("10.0.1.0/24", "192.0.2.1"), ("fd00:1::/64", "192.0.2.1"), ("10.9.9.0/24", "192.0.2.9")])
    let senders = [address("192.0.2.1"), address("198.51.100.1")]
    let friend = address("192.0.2.9")
    let segments = (0..<4).map { GoodFlow.segment($0) }
    let forwarded: [[UInt8]]

    init() {
        forwarded = segments.compactMap { Reference.forward($0) }
        for canSegment in [true, false] {
            send.append(SendPath(sink: Datagrams(), canSegment: canSegment, counters: counters))
        }
        for hasHeader in [true, false] {
            for check in SourceCheck.allCases {
                receive.append(
                    ReceivePath(
                        sink: Packets(hasHeader: hasHeader), counters: counters, check: check,
                        hasOffloadHeader: hasHeader, mergesUDP: true))
            }
        }
    }

    /// Packets dropped so far, for whatever reason.
    var dropped: UInt64 { DropReason.allCases.reduce(0) { $0 + counters.dropped($1) } }
}

// libFuzzer calls from one thread.
private nonisolated(unsafe) let paths = Paths()

/// Reads from the device, each a virtio header and a packet, in the midst of the good flow.
func fuzzSend(_ inputs: [ArraySlice<UInt8>], _ mode: UInt8) {
    let which = mode & 0x20 == 0 ? 0 : 1
    let good = paths.segments.map { copy($0) }
    var given: [PacketBytes] = []
    let view = paths.sendTable.view
    var expected = Array(paths.forwarded[..<2])
    for index in 0..<2 { paths.send[which].process(good[index], virtio_net_hdr(), view) }
    for input in inputs {
        var offload = virtio_net_hdr()
        withUnsafeMutableBytes(of: &offload) { $0.copyBytes(from: input.prefix(10)) }
        let bytes = Array(input.dropFirst(10))
        let packet = copy(bytes)
        given.append(packet)
        let before = paths.dropped
        paths.send[which].process(packet, offload, view)
        switch paths.dropped - before {
        case 0: expected += expectedDatagrams(bytes, offload)
        case 1: precondition(!mustBeSent(bytes, offload), "a good packet was dropped")
        default: preconditionFailure("one packet was counted twice")
        }
    }
    for index in 2..<4 { paths.send[which].process(good[index], virtio_net_hdr(), view) }
    paths.send[which].flush()
    Seen.check(paths.send[which].sink.seen, against: expected + paths.forwarded[2...])
    paths.send[which].sink.seen.removeAll(keepingCapacity: true)
    for bytes in good + given { bytes.start.deallocate() }
}

/// What a packet from the device that was not dropped has to become.
private func expectedDatagrams(_ bytes: [UInt8], _ offload: virtio_net_hdr) -> [[UInt8]] {
    guard var packet = Reference.parse(bytes).flatMap({ Reference.forward($0) }) else { return [] }
    let isPartial = offload.flags & 1 != 0
    guard offload.gso_type == 0 else {
        // The length that counts is that of the read: the one in the header has but 16 bits.
        var whole = bytes
        whole[Reference.isIPv6(whole) ? 7 : 8] -= 1
        let start = isPartial ? Int(offload.csum_start) : Reference.headerLength(packet)
        return Reference.cut(
            whole, size: Int(offload.gso_size),
            isTCP: Int32(offload.gso_type) & ~VIRTIO_NET_HDR_GSO_ECN != VIRTIO_NET_HDR_GSO_UDP_L4,
            transport: start)
    }
    if isPartial {
        let start = Int(offload.csum_start)
        let value = ~Reference.sum(packet, start..<packet.count) & 0xffff
        Reference.put(value == 0 ? 0xffff : value, start + Int(offload.csum_offset), in: &packet)
    }
    return [packet]
}

/// Whether the rules leave no reason to drop a packet from the device: plain, whole, and for a peer.
private func mustBeSent(_ bytes: [UInt8], _ offload: virtio_net_hdr) -> Bool {
    guard offload.gso_type == 0, offload.flags & 1 == 0, let packet = Reference.parse(bytes),
        Reference.forward(packet) != nil, packet.count <= 65507
    else { return false }
    return Reference.isIPv6(packet)
        ? Array(packet[24..<28]) == [0xfd, 0, 0, 2] : packet[16] == 10 && packet[17] == 0 && packet[18] != 1
}

/// A message from the network, in the midst of the good flow. Returns the number of datagrams in it.
@discardableResult
func fuzzReceive(_ bytes: [UInt8], segmentSize: Int, _ mode: UInt8) -> Int {
    let check = Int(mode >> 1 & 3) % 3
    let which = check + (mode & 0x10 == 0 ? 0 : 3)
    let isBait = mode & 0x40 != 0
    let size = isBait ? 0 : segmentSize
    var parts = [bytes]
    if isBait {
        // Each a message of its own.
        parts = Bait.packets(bytes)
    } else if size > 0, !bytes.isEmpty {
        parts = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
    }
    let isStranger = mode & 8 != 0
    let sender = paths.senders[isStranger ? 1 : 0]
    let messages = isBait ? parts.map { copy($0) } : [copy(bytes)]
    let good = paths.segments.map { copy($0) }
    let view = paths.receiveTable.view
    let before = paths.dropped
    for index in 0..<2 { paths.receive[which].process(good[index], segmentSize: 0, from: paths.friend, view) }
    for message in messages { paths.receive[which].process(message, segmentSize: size, from: sender, view) }
    for index in 2..<4 { paths.receive[which].process(good[index], segmentSize: 0, from: paths.friend, view) }
    paths.receive[which].flush()
    let expected = parts.compactMap { isAdmitted($0, SourceCheck.allCases[check], isStranger) }
    precondition(
        paths.dropped - before == UInt64(parts.count - expected.count), "dropped and not counted, or otherwise")
    Seen.check(paths.receive[which].sink.seen, against: paths.forwarded[..<2] + expected + paths.forwarded[2...])
    paths.receive[which].sink.seen.removeAll(keepingCapacity: true)
    for bytes in good + messages { bytes.start.deallocate() }
    return parts.count
}

/// The packet that a datagram has to become, or `nil` when it has to be dropped.
private func isAdmitted(_ bytes: [UInt8], _ check: SourceCheck, _ isStranger: Bool) -> [UInt8]? {
    guard let packet = Reference.parse(bytes), Reference.hasRightHeaderChecksum(packet) else { return nil }
    if check != .none {
        guard !isStranger else { return nil }
        let isIPv6 = Reference.isIPv6(packet)
        let source: [UInt8] = isIPv6 ? [0xfd, 0, 0, 1, 0, 0, 0, 0] : [10, 0, 1]
        let local: [UInt8] = isIPv6 ? [0xfd, 0, 0, 2, 0, 0, 0, 0] : [10, 0, 2]
        if check == .peersAndSubnets, !packet[(isIPv6 ? 8 : 12)...].starts(with: source) { return nil }
        guard packet[(isIPv6 ? 24 : 16)...].starts(with: local) else { return nil }
    }
    return Reference.forward(packet)
}

/// libFuzzer's driver, for a program that has a main function of its own.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The name that SwiftPM gives to the entry point of this target.
@_cdecl("TunnelFuzz_main")
public func start(_ count: CInt, _ arguments: UnsafeMutableRawPointer) -> CInt {
    let words = CommandLine.arguments
    if words.count >= 4, words[1] == "mutate", let total = Int(words[2]) {
        var mutations = Mutations(directory: words[3], seed: words.count > 4 ? UInt64(words[4]) ?? 1 : 1)
        return mutations.run(total) ? 0 : 1
    }
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, fuzz)
}
