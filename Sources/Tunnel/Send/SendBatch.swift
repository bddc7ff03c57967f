import CLinux
import Glibc

/// Datagrams about to be sent: an array of messages for sendmmsg, each one datagram or, with segmentation, up to 64 of
/// one size to one endpoint. Points into packets that the caller keeps until the batch is flushed.
struct SendBatch {
    static let messageLimit = 128
    static let pieceLimit = 1024
    /// What a kernel takes in one message (UDP_MAX_SEGMENTS was 64 until Linux 6.9).
    static let segmentLimit = 64
    /// The largest payload of an IPv4 datagram; of an IPv6 one it would be 20 more.
    static let payloadLimit = 65535 - 28
    private static let controlSize = 24

    let messages: UnsafeMutablePointer<mmsghdr>
    private let pieces: UnsafeMutablePointer<iovec>
    private let control: UnsafeMutableRawPointer
    private(set) var messageCount = 0
    private var pieceCount = 0
    /// Whether one message may carry several datagrams.
    var canSegment: Bool

    // The message being filled.
    private var endpoint = NextHopTable.none
    private var segmentSize = 0
    private var segments = 0
    private var size = 0

    init(canSegment: Bool) {
        self.canSegment = canSegment
        messages = .allocate(capacity: Self.messageLimit)
        messages.initialize(repeating: mmsghdr(), count: Self.messageLimit)
        pieces = .allocate(capacity: Self.pieceLimit)
        pieces.initialize(repeating: iovec(), count: Self.pieceLimit)
        control = .allocate(byteCount: Self.controlSize * Self.messageLimit, alignment: 8)
        control.initializeMemory(as: UInt8.self, repeating: 0, count: Self.controlSize * Self.messageLimit)
        for index in 0..<Self.messageLimit {
            var header = cmsghdr()
            header.cmsg_len = MemoryLayout<cmsghdr>.size + 2
            header.cmsg_level = SOL_UDP
            header.cmsg_type = UDP_SEGMENT
            control.storeBytes(of: header, toByteOffset: Self.controlSize * index, as: cmsghdr.self)
        }
    }

    func deallocate() {
        messages.deallocate()
        pieces.deallocate()
        control.deallocate()
    }

    /// Whether another datagram fits, whatever its size and endpoint.
    @inline(__always) var hasRoom: Bool {
        messageCount < Self.messageLimit && pieceCount &+ 2 <= Self.pieceLimit
    }

    /// Adds a datagram of one or two pieces. There must be room, and `address` must be endpoint `number`'s.
    @inline(__always) mutating func append(
        _ head: PacketBytes, _ tail: PacketBytes?, to number: UInt32,
        _ address: UnsafeMutablePointer<NextHopTable.Endpoint>
    ) {
        let length = head.count &+ (tail?.count ?? 0)
        let joins =
            number == endpoint && segments > 0 && segments < Self.segmentLimit && canSegment && length <= segmentSize
            && size &+ length <= Self.payloadLimit
        if !joins {
            open(number, address, length)
        }
        addPiece(head)
        if let tail { addPiece(tail) }
        segments = segments &+ 1
        size = size &+ length
        let message = messages + (messageCount &- 1)
        if segments == 2 {
            let offset = Self.controlSize &* (messageCount &- 1)
            control.storeBytes(
                of: UInt16(truncatingIfNeeded: segmentSize), toByteOffset: offset &+ MemoryLayout<cmsghdr>.size,
                as: UInt16.self)
            message.pointee.msg_hdr.msg_control = control + offset
            message.pointee.msg_hdr.msg_controllen = Self.controlSize
        }
        // A shorter one is the last of its message.
        if length < segmentSize { endpoint = NextHopTable.none }
    }

    @inline(__always) private mutating func open(
        _ number: UInt32, _ address: UnsafeMutablePointer<NextHopTable.Endpoint>, _ length: Int
    ) {
        precondition(hasRoom, "the batch is full")
        let message = messages + messageCount
        message.pointee.msg_hdr.msg_name = UnsafeMutableRawPointer(address)
        message.pointee.msg_hdr.msg_namelen = address.pointee.length
        message.pointee.msg_hdr.msg_iov = pieces + pieceCount
        message.pointee.msg_hdr.msg_iovlen = 0
        message.pointee.msg_hdr.msg_control = nil
        message.pointee.msg_hdr.msg_controllen = 0
        messageCount = messageCount &+ 1
        endpoint = number
        segmentSize = length
        segments = 0
        size = 0
    }

    @inline(__always) private mutating func addPiece(_ bytes: PacketBytes) {
        pieces[pieceCount] = iovec(iov_base: bytes.start, iov_len: bytes.count)
        pieceCount = pieceCount &+ 1
        messages[messageCount &- 1].msg_hdr.msg_iovlen = messages[messageCount &- 1].msg_hdr.msg_iovlen &+ 1
    }

    /// Forgets all messages.
    @inline(__always) mutating func clear() {
        messageCount = 0
        pieceCount = 0
        segments = 0
        endpoint = NextHopTable.none
    }
}
