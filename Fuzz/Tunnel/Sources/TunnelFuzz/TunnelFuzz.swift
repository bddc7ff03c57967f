import CLinux
import Glibc
import IPNetwork

@testable import Tunnel

/// What libFuzzer calls with each input. Its first byte: bit 0 is 1 for a read from the TUN device, which begins with a
/// virtio header, and 0 for a message from the network, which begins with a segment size of two bytes; bits 1 and 2 choose
/// the check, bit 3 a stranger as sender, bit 4 a device without virtio headers, bit 5 a socket that segments nothing.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let input = UnsafeRawBufferPointer(start: start, count: count)
    let mode = input[0]
    if mode & 1 == 1 { fuzzSend(input, mode) } else { fuzzReceive(input, mode) }
    return 0
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

/// A flow from 10.9.9.9 to `destination` that nothing in the corpus has: TCP of four segments of 100 bytes.
private struct GoodFlow {
    static let payload: [UInt8] = (0..<400).map { UInt8(truncatingIfNeeded: $0 * 7 ^ $0 >> 4) }
    static let source: [UInt8] = [10, 9, 9, 9]

    static func segment(_ index: Int, to destination: [UInt8]) -> PacketBytes {
        var bytes: [UInt8] = [0x45, 0, 0, 140, 0, UInt8(index), 0x40, 0, 60, 6, 0, 0] + source + destination
        bytes += [0x12, 0x34, 0x56, 0x78, 0, 0, UInt8((index * 100) >> 8), UInt8((index * 100) & 255), 1, 2, 3, 4]
        bytes += [0x50, 0x10, 1, 0, 0, 0, 0, 0] + payload[(index * 100)..<(index * 100 + 100)]
        let packet = copy(bytes)
        InternetChecksum.finishIPv4Header(packet, length: 20)
        let sum =
            InternetChecksum.pseudoHeader(packet, isIPv6: false, transport: 6, length: 120)
            + InternetChecksum.sum(packet.slice(from: 20))
        packet.setNative16(36, ~InternetChecksum.fold(sum))
        return packet
    }

    /// The bytes of the flow that have been seen so far.
    var seen = 0

    /// Looks at the pieces of one or more of the flow's packets, headers first.
    mutating func look(_ pieces: UnsafeBufferPointer<iovec>) {
        var isGood = false
        for piece in pieces {
            let bytes = PacketBytes(start: piece.iov_base, count: piece.iov_len)
            // As the kernel would, the sanitizer looks at every byte.
            _ = InternetChecksum.sum(bytes)
            var payload = bytes
            if bytes.count >= 140, bytes.native32(12) == 0x0909_090a, bytes.uint32(20) == 0x1234_5678 {
                precondition(bytes.uint32(24) == seen, "the good flow is out of order")
                isGood = true
                payload = bytes.slice(from: 40)
            }
            guard isGood else { continue }
            for index in 0..<payload.count {
                precondition(payload.byte(index) == Self.payload[seen + index], "the good flow was changed")
            }
            seen += payload.count
        }
    }

    mutating func finish() {
        precondition(seen == Self.payload.count, "the good flow lost something")
        seen = 0
    }
}

private struct Datagrams: DatagramSink {
    var good = GoodFlow()

    mutating func send(_ batch: inout SendBatch, _ counters: CounterBlock) {
        for index in 0..<batch.messageCount {
            let header = batch.messages[index].msg_hdr
            let pieces = UnsafeBufferPointer(start: header.msg_iov, count: header.msg_iovlen)
            precondition(pieces.reduce(0) { $0 + $1.iov_len } <= 65507, "a message is too long")
            for piece in 0..<pieces.count { good.look(UnsafeBufferPointer(rebasing: pieces[piece..<piece + 1])) }
        }
    }

    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) { writeError(packet, header, reason) }
}

private struct Packets: PacketSink {
    var good = GoodFlow()

    mutating func write(_ pieces: UnsafeMutablePointer<iovec>, _ count: Int) -> WriteResult {
        let pieces = UnsafeBufferPointer(start: pieces, count: count)
        precondition(pieces.reduce(0) { $0 + $1.iov_len } <= 65585, "a packet is too long")
        good.look(pieces)
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
    let segments = (0..<4).map { GoodFlow.segment($0, to: [10, 0, 2, 3]) }

    init() {
        for canSegment in [true, false] {
            send.append(SendPath(sink: Datagrams(), canSegment: canSegment, counters: counters))
        }
        for hasHeader in [true, false] {
            for check in SourceCheck.allCases {
                receive.append(
                    ReceivePath(
                        sink: Packets(), counters: counters, check: check, hasOffloadHeader: hasHeader, mergesUDP: true)
                )
            }
        }
    }
}

// libFuzzer calls from one thread.
private nonisolated(unsafe) let paths = Paths()

private func fuzzSend(_ input: UnsafeRawBufferPointer, _ mode: UInt8) {
    let which = mode & 0x20 == 0 ? 0 : 1
    var offload = virtio_net_hdr()
    withUnsafeMutableBytes(of: &offload) { $0.copyBytes(from: input.dropFirst().prefix(10)) }
    let packet = copy(input.dropFirst(11))
    let good = paths.segments.map { copy(UnsafeRawBufferPointer(start: $0.start, count: $0.count)) }
    let view = paths.sendTable.view
    paths.send[which].process(good[0], virtio_net_hdr(), view)
    paths.send[which].process(good[1], virtio_net_hdr(), view)
    paths.send[which].process(packet, offload, view)
    paths.send[which].process(good[2], virtio_net_hdr(), view)
    paths.send[which].process(good[3], virtio_net_hdr(), view)
    paths.send[which].flush()
    paths.send[which].sink.good.finish()
    for bytes in good + [packet] { bytes.start.deallocate() }
}

private func fuzzReceive(_ input: UnsafeRawBufferPointer, _ mode: UInt8) {
    let which = Int(mode >> 1 & 3) % 3 + (mode & 0x10 == 0 ? 0 : 3)
    let size = input.count > 2 ? Int(input[1]) | Int(input[2]) << 8 : 0
    let message = copy(input.dropFirst(3))
    let sender = paths.senders[mode & 8 == 0 ? 0 : 1]
    let good = paths.segments.map { copy(UnsafeRawBufferPointer(start: $0.start, count: $0.count)) }
    let view = paths.receiveTable.view
    paths.receive[which].process(good[0], segmentSize: 0, from: paths.friend, view)
    paths.receive[which].process(good[1], segmentSize: 0, from: paths.friend, view)
    paths.receive[which].process(message, segmentSize: size, from: sender, view)
    paths.receive[which].process(good[2], segmentSize: 0, from: paths.friend, view)
    paths.receive[which].process(good[3], segmentSize: 0, from: paths.friend, view)
    paths.receive[which].flush()
    paths.receive[which].sink.good.finish()
    for bytes in good + [message] { bytes.start.deallocate() }
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
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, fuzz)
}
