import CLinux
import Glibc
import LinuxSystem

/// A netlink socket that asks and waits for the answers.
///
/// The kernel carries a request out before `send` returns, so that its answers wait in the receive buffer by then;
/// only the buffer's size limits how many requests may go in one send.
struct NetlinkSocket: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor
    private var buffer = ReceiveBuffer(capacity: 256 * 1024)
    private var writer = MessageWriter(capacity: 4096)
    private var sequence: UInt32 = 0
    /// The most requests in one send, such that an error for each fits into the receive buffer.
    private let batchLimit: Int

    /// The most bytes in one send, but for its last message. A send of over 200 kB meets EMSGSIZE on default buffers.
    private static let chunkSize = 64 * 1024
    private static let dumpAttempts = 20
    /// Seconds.
    private static let answerTimeout = 10

    init(protocol number: CInt, namespace: NetworkNamespace?) throws(NetlinkError) {
        descriptor = try OwnedDescriptor.netlink(protocol: number, namespace: namespace)
        let size = descriptor.growReceiveBuffer(to: 4 << 20)
        // An error with its text takes one to two kilobytes of the buffer's account, overhead included.
        batchLimit = max(16, min(2048, size / 2048))
        descriptor.enable(NETLINK_EXT_ACK)
        descriptor.enable(NETLINK_CAP_ACK)
        descriptor.enable(NETLINK_GET_STRICT_CHK)
        var timeout = timeval(tv_sec: Self.answerTimeout, tv_usec: 0)
        setsockopt(
            descriptor.rawValue, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    /// What the kernel writes on what this socket causes.
    var port: UInt32? { descriptor.port }

    // MARK: Dump

    /// Reads a whole table; begins again when it changed meanwhile.
    ///
    /// - Parameters:
    ///   - request: writes the payload of the request.
    ///   - decode: gives the element of a message, or `nil` to leave it out.
    mutating func dump<Element>(
        _ type: Int, subject: String, request: (inout MessageWriter) -> Void,
        decode: (UInt16, RawSpan) throws(MalformedMessage) -> Element?
    ) throws(NetlinkError) -> [Element] {
        var elements: [Element] = []
        for _ in 0..<Self.dumpAttempts {
            elements.removeAll(keepingCapacity: true)
            sequence &+= 1
            writer.rewind()
            writer.message(type: type, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence: sequence, request)
            try send()
            if try readDump(subject: subject, into: &elements, decode: decode) { return elements }
        }
        throw .dumpInterrupted(subject: subject, attempts: Self.dumpAttempts)
    }

    /// Whether the dump is whole.
    private mutating func readDump<Element>(
        subject: String, into elements: inout [Element], decode: (UInt16, RawSpan) throws(MalformedMessage) -> Element?
    ) throws(NetlinkError) -> Bool {
        var progress = DumpProgress()
        while !progress.isDone {
            switch buffer.receive(from: descriptor.rawValue, flags: 0) {
            case .datagram(let count):
                do throws(MalformedMessage) {
                    try buffer.withSpan(count) { span throws(MalformedMessage) in
                        try span.forEachMessage { header, payload throws(MalformedMessage) in
                            guard header.nlmsg_seq == sequence, !progress.isDone else { return }
                            guard try progress.take(header, payload) else { return }
                            if let element = try decode(header.nlmsg_type, payload) { elements.append(element) }
                        }
                    }
                } catch {
                    drain()
                    throw .malformed(error)
                }
            case .tooLarge, .failed(ENOBUFS):
                drain()
                return false
            case .failed(let code): throw failure(code, subject: subject)
            }
        }
        if let answer = progress.refusal {
            // The kernel's own ways to say that a table changed under the dump.
            if answer.code == EINTR || answer.code == EAGAIN || answer.code == EBUSY {
                drain()
                return false
            }
            throw .refused(
                KernelRefusal(code: answer.code, message: answer.message, offset: answer.offset, subject: subject))
        }
        return !progress.wasInterrupted
    }

    // MARK: Requests

    /// Sends requests in as few datagrams as fit and reads the answers to each before the next.
    ///
    /// - Parameters:
    ///   - encode: writes the message of a request: its position and the sequence number.
    ///   - reply: gets the messages that are no acknowledgement.
    ///   - refused: gets the position, the answer and the sequence number of a request that failed.
    mutating func exchange(
        count: Int, subject: String,
        encode: (Int, inout MessageWriter, UInt32) -> Void,
        reply: (UInt16, RawSpan) throws(MalformedMessage) -> Void = { _, _ in },
        refused: (Int, Answer, UInt32) -> Void
    ) throws(NetlinkError) {
        var position = 0
        while position < count {
            let first = position
            let firstSequence = sequence &+ 1
            var last: (sequence: UInt32, offset: Int)?
            writer.rewind()
            while position < count, position - first < batchLimit, writer.count < Self.chunkSize {
                let start = writer.count
                sequence &+= 1
                encode(position, &writer, sequence)
                if writer.overflowed {
                    writer.rewind(to: start)
                    let answer = Answer(code: EMSGSIZE, message: "an attribute is longer than 65,531 bytes")
                    refused(position, answer, sequence)
                } else {
                    last = (sequence, start)
                }
                position += 1
            }
            guard let last else { continue }
            // An acknowledgement of each would overrun the receive buffer; errors come without being asked for.
            writer.setFlags(NLM_F_ACK, ofMessageAt: last.offset)
            try send()
            try readAnswers(subject: subject, until: last.sequence, reply: reply) { answer, sequence in
                let place = Int(sequence &- firstSequence)
                if place < position - first { refused(first + place, answer, sequence) }
            }
        }
    }

    private mutating func readAnswers(
        subject: String, until last: UInt32, reply: (UInt16, RawSpan) throws(MalformedMessage) -> Void,
        refused: (Answer, UInt32) -> Void
    ) throws(NetlinkError) {
        var isDone = false
        while !isDone {
            switch buffer.receive(from: descriptor.rawValue, flags: 0) {
            case .datagram(let count):
                do throws(MalformedMessage) {
                    try buffer.withSpan(count) { span throws(MalformedMessage) in
                        try span.forEachMessage { header, payload throws(MalformedMessage) in
                            switch Int32(header.nlmsg_type) {
                            case NLMSG_ERROR:
                                let answer = try Answer(header, payload)
                                if answer.code != 0 { refused(answer, header.nlmsg_seq) }
                                if header.nlmsg_seq == last { isDone = true }
                            case NLMSG_NOOP, NLMSG_DONE: break
                            default: try reply(header.nlmsg_type, payload)
                            }
                        }
                    }
                } catch {
                    drain()
                    throw .malformed(error)
                }
            case .tooLarge, .failed(ENOBUFS):
                drain()
                throw .answersLost
            case .failed(let code): throw failure(code, subject: subject)
            }
        }
    }

    // MARK: Bytes

    private func send() throws(NetlinkError) {
        do throws(SystemCallError) {
            try writer.withBytes { bytes throws(SystemCallError) in
                _ = try systemCall("send", "netlink") {
                    Glibc.send(descriptor.rawValue, bytes.baseAddress, bytes.count, 0)
                }
            }
        } catch {
            throw .system(error)
        }
    }

    /// Throws away what is in the receive buffer; a dump under way comes to its end by it.
    private mutating func drain() {
        while true {
            if case .failed(let code) = buffer.receive(from: descriptor.rawValue, flags: CInt(MSG_DONTWAIT)),
                code != ENOBUFS
            {
                return
            }
        }
    }

    private func failure(_ code: CInt, subject: String) -> NetlinkError {
        code == EAGAIN
            ? .noAnswer(subject: subject, seconds: Self.answerTimeout)
            : .system(SystemCallError(code: code, call: "recvfrom", subject: "netlink"))
    }
}
