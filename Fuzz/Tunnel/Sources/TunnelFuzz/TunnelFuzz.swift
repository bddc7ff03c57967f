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

    /// What of the flow has been seen so far.
    var seen: [UInt8] = []

    mutating func look(_ packet: [UInt8]) {
        guard packet.count > 40, Array(packet[12..<16]) == Self.source, packet[20..<24] == [0x12, 0x34, 0x56, 0x78]
        else {
            return
        }
        precondition(Int(packet[26]) << 8 + Int(packet[27]) == seen.count, "the good flow is out of order")
        seen += packet[40...]
    }

    func finish() { precondition(seen == Self.payload, "the good flow lost something") }
}

private struct Datagrams: DatagramSink {
    var good = GoodFlow()
    mutating func send(_ batch: inout SendBatch, _ counters: CounterBlock) {
        for index in 0..<batch.messageCount {
            let header = batch.messages[index].msg_hdr
            var message: [UInt8] = []
            for piece in 0..<header.msg_iovlen {
                message += UnsafeRawBufferPointer(
                    start: header.msg_iov[piece].iov_base, count: header.msg_iov[piece].iov_len)
            }
            var size = message.count
            if let control = header.msg_control { size = Int(control.load(fromByteOffset: 16, as: UInt16.self)) }
            precondition(message.count <= 65507, "a message is too long")
            for start in stride(from: 0, to: message.count, by: max(size, 1)) {
                good.look(Array(message[start..<min(start + size, message.count)]))
            }
        }
    }
    mutating func reject(
        _ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock
    ) { writeError(packet, header, reason) }
}

private struct Packets: PacketSink {
    let hasHeader: Bool
    var good = GoodFlow()
    mutating func write(_ pieces: UnsafeMutablePointer<iovec>, _ count: Int) -> WriteResult {
        var bytes: [UInt8] = []
        for index in 0..<count {
            bytes += UnsafeRawBufferPointer(start: pieces[index].iov_base, count: pieces[index].iov_len)
        }
        if hasHeader { bytes.removeFirst(10) }
        precondition(bytes.count <= 65575, "a packet is too long")
        good.look(bytes)
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

private let sendTable = table(local: ["10.0.1.0/24"], [("10.0.0.0/16", "192.0.2.2"), ("fd00:2::/32", "2001:db8::2")])
private let receiveTable = table(
    local: ["10.0.2.0/24", "fd00:2::/64"],
    [("10.0.1.0/24", "192.0.2.1"), ("fd00:1::/64", "192.0.2.1"), ("10.9.9.0/24", "192.0.2.9")])

private func fuzzSend(_ input: UnsafeRawBufferPointer, _ mode: UInt8) {
    let counters = CounterBlock()
    var path = SendPath(sink: Datagrams(), canSegment: mode & 0x20 == 0, counters: counters)
    var offload = virtio_net_hdr()
    withUnsafeMutableBytes(of: &offload) { $0.copyBytes(from: input.dropFirst().prefix(10)) }
    let packet = copy(input.dropFirst(11))
    let good = (0..<4).map { GoodFlow.segment($0, to: [10, 0, 2, 3]) }
    path.process(good[0], virtio_net_hdr(), sendTable.view)
    path.process(good[1], virtio_net_hdr(), sendTable.view)
    path.process(packet, offload, sendTable.view)
    path.process(good[2], virtio_net_hdr(), sendTable.view)
    path.process(good[3], virtio_net_hdr(), sendTable.view)
    path.flush()
    path.sink.good.finish()
    path.deallocate()
    counters.deallocate()
    for bytes in good + [packet] { bytes.start.deallocate() }
}

private func fuzzReceive(_ input: UnsafeRawBufferPointer, _ mode: UInt8) {
    let counters = CounterBlock()
    let check = SourceCheck.allCases[Int(mode >> 1 & 3) % SourceCheck.allCases.count]
    let hasHeader = mode & 0x10 == 0
    var path = ReceivePath(
        sink: Packets(hasHeader: hasHeader), counters: counters, check: check, hasOffloadHeader: hasHeader,
        mergesUDP: true)
    let size = input.count > 2 ? Int(input[1]) | Int(input[2]) << 8 : 0
    let message = copy(input.dropFirst(3))
    let sender = address(mode & 8 == 0 ? "192.0.2.1" : "198.51.100.1")
    let friend = address("192.0.2.9")
    let good = (0..<4).map { GoodFlow.segment($0, to: [10, 0, 2, 3]) }
    path.process(good[0], segmentSize: 0, from: friend, receiveTable.view)
    path.process(good[1], segmentSize: 0, from: friend, receiveTable.view)
    path.process(message, segmentSize: size, from: sender, receiveTable.view)
    path.process(good[2], segmentSize: 0, from: friend, receiveTable.view)
    path.process(good[3], segmentSize: 0, from: friend, receiveTable.view)
    path.flush()
    path.sink.good.finish()
    path.deallocate()
    counters.deallocate()
    for bytes in good + [message, sender, friend] { bytes.start.deallocate() }
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
