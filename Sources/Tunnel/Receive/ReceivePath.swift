import CLinux
import Glibc

/// Where a ``ReceivePath`` puts what it has made.
protocol PacketSink {
    /// Writes one packet or super-packet to the TUN device.
    mutating func write(_ pieces: UnsafeMutablePointer<iovec>, _ count: Int) -> WriteResult
    /// Tells the source of a packet that its TTL ran out.
    mutating func reject(_ packet: PacketBytes, _ header: InnerHeader, _ reason: DropReason, _ counters: CounterBlock)
}

/// What became of a write.
enum WriteResult {
    case written
    case failed
    /// The kernel does not take this kind of super-packet.
    case unsupported
}

/// Datagrams from the socket to the TUN device: who may send what, TTL, and merging.
///
/// Merges what a sender's segmentation cut apart, as the kernel's receive offload does: consecutive segments of a flow
/// that differ in nothing that their receiver could tell apart. All else is passed as it came, a flow's order kept.
struct ReceivePath<Sink: PacketSink> {
    /// The flows that can be open at a time, as the kernel's buckets (MAX_GRO_SKBS).
    static var flowLimit: Int { 8 }

    var sink: Sink
    let counters: CounterBlock
    let check: SourceCheck
    private let hasOffloadHeader: Bool
    private let mergesTCP: Bool
    private(set) var mergesUDP: Bool
    private let flows: UnsafeMutablePointer<Flow>
    /// The flow that is closed next when there is no room for another.
    private var oldest = 0
    private var openCount = 0
    private let plainHeader: UnsafeMutablePointer<virtio_net_hdr>
    private let plainPieces: UnsafeMutablePointer<iovec>

    /// - Parameters:
    ///   - hasOffloadHeader: whether each write begins with a virtio header. Without one nothing is merged.
    ///   - mergesUDP: whether the kernel takes UDP super-packets (Linux 6.2).
    init(sink: Sink, counters: CounterBlock, check: SourceCheck, hasOffloadHeader: Bool, mergesUDP: Bool) {
        self.sink = sink
        self.counters = counters
        self.check = check
        self.hasOffloadHeader = hasOffloadHeader
        mergesTCP = hasOffloadHeader
        self.mergesUDP = hasOffloadHeader && mergesUDP
        flows = .allocate(capacity: Self.flowLimit)
        for index in 0..<Self.flowLimit { (flows + index).initialize(to: Flow()) }
        plainHeader = .allocate(capacity: 1)
        plainHeader.initialize(to: virtio_net_hdr())
        plainPieces = .allocate(capacity: 2)
        plainPieces.initialize(repeating: iovec(), count: 2)
        plainPieces[0] = iovec(iov_base: plainHeader, iov_len: MemoryLayout<virtio_net_hdr>.size)
    }

    func deallocate() {
        for index in 0..<Self.flowLimit { flows[index].deallocate() }
        flows.deallocate()
        plainHeader.deallocate()
        plainPieces.deallocate()
    }

    /// Passes on what one datagram message holds: one packet, or several of `segmentSize` bytes of which the last may be
    /// shorter. The bytes are changed, and must stay until ``flush()``.
    ///
    /// - Parameter sender: the socket address that it came from.
    @inline(__always) mutating func process(
        _ message: PacketBytes, segmentSize: Int, from sender: PacketBytes, _ table: NextHopView
    ) {
        var offset = 0
        repeat {
            let left = message.count &- offset
            let packet = message.slice(offset, segmentSize > 0 ? min(segmentSize, left) : left)
            do throws(DropReason) {
                try pass(packet, sender, table)
            } catch {
                counters.drop(error)
            }
            offset = offset &+ packet.count
        } while offset < message.count
    }

    @inline(__always) private mutating func pass(
        _ bytes: PacketBytes, _ sender: PacketBytes, _ table: NextHopView
    ) throws(DropReason) {
        let header = try InnerHeader(bytes)
        let packet = bytes.slice(0, header.totalLength)
        if !header.isIPv6 {
            guard InternetChecksum.fold(InternetChecksum.sum(packet.slice(0, header.length))) == 0xffff else {
                throw .badHeaderChecksum
            }
        }
        try admit(packet, header, sender, table)
        guard packet.hopLimit(isIPv6: header.isIPv6) > 1 else {
            sink.reject(packet, header, .hopLimit, counters)
            throw .hopLimit
        }
        counters.add(.receivedPackets, 1)
        counters.add(.receivedBytes, packet.count)
        guard mergesTCP else { return writePlain(packet, isIPv6: header.isIPv6) }
        var candidate = MergeCandidate(
            isIPv6: false, isTCP: false, transport: 0, headerLength: 0, payloadLength: 0, flags: 0)
        switch MergeCandidate.judge(packet, header, mergesUDP: mergesUDP, into: &candidate) {
        case .candidate:
            merge(packet, candidate)
        case .ordered:
            if let flow = openFlow(packet, candidate) { close(flow) }
            writePlain(packet, isIPv6: header.isIPv6)
        case .other:
            writePlain(packet, isIPv6: header.isIPv6)
        }
    }

    /// Refuses what the sender may not send here.
    @inline(__always) private func admit(
        _ packet: PacketBytes, _ header: InnerHeader, _ sender: PacketBytes, _ table: NextHopView
    ) throws(DropReason) {
        guard check != .none else { return }
        if check == .peersAndSubnets {
            let owner = table.source(packet, isIPv6: header.isIPv6)
            if !table.endpoint(owner, isAt: sender) {
                throw table.peer(sender) == NextHopTable.none ? .unknownPeer : .sourceNotOwned
            }
        } else if table.peer(sender) == NextHopTable.none {
            throw .unknownPeer
        }
        guard table.destination(packet, isIPv6: header.isIPv6) == NextHopTable.local else {
            throw .destinationNotOurs
        }
    }

    @inline(__always) private mutating func merge(_ packet: PacketBytes, _ candidate: MergeCandidate) {
        if let flow = openFlow(packet, candidate) {
            if flows[flow].continues(with: packet, candidate), verifyHead(flow), candidate.hasRightChecksum(packet) {
                if flows[flow].append(packet, candidate) { close(flow) }
                return
            }
            close(flow)
        }
        // A pushed segment starts nothing.
        guard candidate.flags & TCPFlags.psh == 0 else { return writePlain(packet, isIPv6: candidate.isIPv6) }
        let flow = freeFlow()
        flows[flow].open(packet, candidate)
        openCount = openCount &+ 1
    }

    @inline(__always) private func verifyHead(_ flow: Int) -> Bool {
        if flows[flow].isHeadVerified { return true }
        let head = MergeCandidate(
            isIPv6: flows[flow].isIPv6, isTCP: flows[flow].isTCP, transport: flows[flow].transport,
            headerLength: flows[flow].headerLength, payloadLength: flows[flow].segmentSize, flags: 0)
        guard head.hasRightChecksum(flows[flow].head) else { return false }
        flows[flow].isHeadVerified = true
        return true
    }

    /// The open flow that `packet` is of.
    @inline(__always) private func openFlow(_ packet: PacketBytes, _ candidate: MergeCandidate) -> Int? {
        guard openCount > 0 else { return nil }
        for index in 0..<Self.flowLimit
        where flows[index].isOpen && flows[index].isIPv6 == candidate.isIPv6 && flows[index].isTCP == candidate.isTCP
            && MergeCandidate.isSameFlow(
                flows[index].head, packet, isIPv6: candidate.isIPv6, leftTransport: flows[index].transport,
                rightTransport: candidate.transport)
        {
            return index
        }
        return nil
    }

    @inline(__always) private mutating func freeFlow() -> Int {
        for index in 0..<Self.flowLimit where !flows[index].isOpen { return index }
        let flow = oldest
        oldest = (oldest &+ 1) % Self.flowLimit
        close(flow)
        return flow
    }

    /// Writes a flow's super-packet.
    @inline(__always) private mutating func close(_ flow: Int) {
        guard flows[flow].isOpen else { return }
        flows[flow].isOpen = false
        openCount = openCount &- 1
        guard flows[flow].segments > 1 else {
            return writePlain(flows[flow].head, isIPv6: flows[flow].isIPv6)
        }
        flows[flow].finish()
        counters.add(.tunWrites, 1)
        switch sink.write(flows[flow].pieces, flows[flow].segments &+ 1) {
        case .written: break
        case .failed: counters.drop(.writeFailed, flows[flow].segments)
        case .unsupported:
            if !flows[flow].isTCP { mergesUDP = false }
            counters.drop(.writeFailed, flows[flow].segments)
        }
    }

    @inline(__always) private mutating func writePlain(_ packet: PacketBytes, isIPv6: Bool) {
        packet.decrementHopLimit(isIPv6: isIPv6)
        plainPieces[1] = iovec(iov_base: packet.start, iov_len: packet.count)
        counters.add(.tunWrites, 1)
        let result = hasOffloadHeader ? sink.write(plainPieces, 2) : sink.write(plainPieces + 1, 1)
        if result != .written { counters.drop(.writeFailed) }
    }

    /// Writes what is open. After it the bytes given to ``process(_:segmentSize:from:_:)`` are no longer used.
    mutating func flush() {
        guard openCount > 0 else { return }
        for index in 0..<Self.flowLimit { close(index) }
    }
}
