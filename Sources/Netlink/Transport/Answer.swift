import CLinux

/// What the kernel says about a request: done, or why not.
struct Answer {
    /// 0 when the request was carried out, else the error number.
    var code: CInt
    var message: String?
    var offset: Int?

    init(code: CInt, message: String? = nil, offset: Int? = nil) {
        self.code = code
        self.message = message
        self.offset = offset
    }

    /// From an `NLMSG_ERROR` message.
    init(_ header: nlmsghdr, _ payload: RawSpan) throws(MalformedMessage) {
        let error: nlmsgerr = try payload.load()
        // The kernel sends the request back, its header alone when the answer is capped.
        let isCapped = header.nlmsg_flags & UInt16(NLM_F_CAPPED) != 0
        let echo = isCapped ? MemoryLayout<nlmsghdr>.size : Int(error.msg.nlmsg_len)
        try self.init(error: error.error, header, payload, details: 4 + echo)
    }

    /// From an `NLMSG_DONE` message, which ends a dump and may tell that it failed.
    init(done header: nlmsghdr, _ payload: RawSpan) throws(MalformedMessage) {
        if payload.byteCount < 4 {
            self.init(code: 0)
        } else {
            try self.init(error: try payload.load(), header, payload, details: 4)
        }
    }

    private init(
        error: Int32, _ header: nlmsghdr, _ payload: RawSpan, details: Int
    ) throws(MalformedMessage) {
        self.init(code: error < 0 ? 0 &- error : error)
        guard header.nlmsg_flags & UInt16(NLM_F_ACK_TLVS) != 0 else { return }
        try payload.forEachAttribute(from: details) { type, value throws(MalformedMessage) in
            switch type.number {
            case Int(NLMSGERR_ATTR_MSG.rawValue): message = value.string()
            case Int(NLMSGERR_ATTR_OFFS.rawValue): offset = Int(try value.load(UInt32.self))
            default: break
            }
        }
    }
}

/// How far a dump has come.
struct DumpProgress {
    private(set) var isDone = false
    /// The table changed while it was read (`NLM_F_DUMP_INTR`): entries may be missing or come twice.
    private(set) var wasInterrupted = false
    /// Why the kernel gave up, if it did.
    private(set) var refusal: Answer?

    /// Whether the message is an entry of the table.
    mutating func take(_ header: nlmsghdr, _ payload: RawSpan) throws(MalformedMessage) -> Bool {
        if header.nlmsg_flags & UInt16(NLM_F_DUMP_INTR) != 0 { wasInterrupted = true }
        switch Int32(header.nlmsg_type) {
        case NLMSG_NOOP: return false
        case NLMSG_OVERRUN:
            wasInterrupted = true
            return false
        case NLMSG_DONE: end(try Answer(done: header, payload))
        case NLMSG_ERROR: end(try Answer(header, payload))
        default: return true
        }
        return false
    }

    private mutating func end(_ answer: Answer) {
        isDone = true
        if answer.code != 0 { refusal = answer }
    }
}
