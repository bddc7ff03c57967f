import CLinux
import Glibc
import Testing

@testable import Netlink

@Suite struct AnswerTests {
    /// An answer in the form that NETLINK_CAP_ACK and NETLINK_EXT_ACK ask for: the error, the request's header, the
    /// text and the place.
    static func refusal(code: Int32, text: String, flags: Int32 = NLM_F_CAPPED | NLM_F_ACK_TLVS) -> [UInt8] {
        var writer = MessageWriter(capacity: 256)
        writer.message(type: Int(NLMSG_ERROR), flags: flags, sequence: 7) { writer in
            writer.append(code)
            writer.append(nlmsghdr(nlmsg_len: 44, nlmsg_type: 24, nlmsg_flags: 5, nlmsg_seq: 7, nlmsg_pid: 0))
            writer.attribute(Int(NLMSGERR_ATTR_MSG.rawValue), string: text)
            writer.attribute(Int(NLMSGERR_ATTR_OFFS.rawValue), UInt32(36))
        }
        return writer.withBytes { Array($0) }
    }

    @Test func textAndOffsetAreKept() throws {
        let bytes = Self.refusal(code: -ENETUNREACH, text: "Nexthop has invalid gateway")
        try bytes.span.bytes.forEachMessage {
            header, payload throws(MalformedMessage) in
            let answer = try Answer(header, payload)
            #expect(answer.code == ENETUNREACH && answer.offset == 36)
            #expect(answer.message == "Nexthop has invalid gateway")
        }
    }

    /// Without the flag, what follows is the rest of the request and no text.
    @Test func aPlainAnswerHasNoText() throws {
        let bytes = Self.refusal(code: -EPERM, text: "x", flags: 0)
        try bytes.span.bytes.forEachMessage {
            header, payload throws(MalformedMessage) in
            let answer = try Answer(header, payload)
            #expect(answer.code == EPERM && answer.message == nil)
        }
    }

    @Test func impossibleNumbersDoNotTrap() throws {
        let bytes = Self.refusal(code: .min, text: "x")
        try bytes.span.bytes.forEachMessage { header, payload throws(MalformedMessage) in
            _ = try Answer(header, payload)
        }
    }

    @Test func anInterruptedDumpIsNoticed() throws {
        var progress = DumpProgress()
        let entry = nlmsghdr(nlmsg_len: 16, nlmsg_type: 24, nlmsg_flags: 2, nlmsg_seq: 1, nlmsg_pid: 0)
        #expect(try progress.take(entry, RawSpan()))
        #expect(!progress.wasInterrupted)
        var changed = entry
        changed.nlmsg_flags |= UInt16(NLM_F_DUMP_INTR)
        #expect(try progress.take(changed, RawSpan()))
        var done = entry
        done.nlmsg_type = UInt16(NLMSG_DONE)
        #expect(try !progress.take(done, RawSpan()))
        #expect(progress.isDone && progress.wasInterrupted && progress.refusal == nil)
    }

    /// A dump that fails at its end says so in its last message.
    @Test func aFailedDumpIsNoticed() throws {
        var writer = MessageWriter(capacity: 64)
        writer.message(type: Int(NLMSG_DONE), flags: NLM_F_MULTI, sequence: 1) { $0.append(-ENOENT) }
        var progress = DumpProgress()
        let bytes = writer.withBytes { Array($0) }
        try bytes.span.bytes.forEachMessage { header, payload throws(MalformedMessage) in
            _ = try progress.take(header, payload)
        }
        #expect(progress.isDone && progress.refusal?.code == ENOENT)
    }
}
