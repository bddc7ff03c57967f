import CLinux
import IPNetwork

/// Messages one after another in one buffer that is used again.
///
/// Unchecked: the pointer is private, its memory has this value as its only owner, and the value cannot be copied.
struct MessageWriter: ~Copyable, @unchecked Sendable {
    private var storage: UnsafeMutableRawBufferPointer
    /// The number of bytes written.
    private(set) var count = 0
    /// An attribute was longer than its 16-bit length can say, since the last `rewind`.
    private(set) var overflowed = false

    init(capacity: Int) { storage = .allocate(byteCount: max(capacity, 256), alignment: 8) }

    deinit { storage.deallocate() }

    /// Forgets what was written from `offset` on.
    mutating func rewind(to offset: Int = 0) {
        count = min(count, offset)
        overflowed = false
    }

    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(rebasing: storage[..<count]))
    }

    /// Sets flag bits in the header of the message that starts at `offset`.
    mutating func setFlags(_ flags: Int32, ofMessageAt offset: Int) {
        let place = offset + 6
        guard place + 2 <= count else { return }
        let old = storage.loadUnaligned(fromByteOffset: place, as: UInt16.self)
        storage.storeBytes(of: old | UInt16(truncatingIfNeeded: flags), toByteOffset: place, as: UInt16.self)
    }

    // MARK: Building

    /// A message with its header; `body` writes the payload.
    mutating func message(
        type: Int, flags: Int32, sequence: UInt32, _ body: (inout MessageWriter) -> Void
    ) {
        let start = count
        append(
            nlmsghdr(
                nlmsg_len: 0, nlmsg_type: UInt16(truncatingIfNeeded: type),
                nlmsg_flags: UInt16(truncatingIfNeeded: flags), nlmsg_seq: sequence, nlmsg_pid: 0))
        body(&self)
        storage.storeBytes(of: UInt32(truncatingIfNeeded: count - start), toByteOffset: start, as: UInt32.self)
        pad()
    }

    /// A structure or integer in host order, padded to 4 bytes.
    mutating func append<Value: WireValue & BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        reserve(size)
        withUnsafeBytes(of: value) { bytes in
            UnsafeMutableRawBufferPointer(rebasing: storage[count..<count + size]).copyMemory(from: bytes)
        }
        count += size
        pad()
    }

    /// An attribute with an integer or structure, in host order.
    mutating func attribute<Value: WireValue & BitwiseCopyable>(_ type: Int, _ value: Value) {
        header(type, size: MemoryLayout<Value>.size)
        append(value)
    }

    /// An attribute with an integer in network order.
    mutating func bigEndian<Value: FixedWidthInteger & WireValue & BitwiseCopyable>(_ type: Int, _ value: Value) {
        attribute(type, value.bigEndian)
    }

    mutating func attribute(_ type: Int, _ address: IPAddress) {
        switch address {
        case .v4(let address): bigEndian(type, address.rawValue)
        case .v6(let address): bigEndian(type, address.rawValue)
        }
    }

    mutating func attribute(_ type: Int, _ address: MACAddress) {
        header(type, size: 6)
        reserve(8)
        storage.storeBytes(of: UInt16(address.rawValue >> 32).bigEndian, toByteOffset: count, as: UInt16.self)
        storage.storeBytes(
            of: UInt32(truncatingIfNeeded: address.rawValue).bigEndian, toByteOffset: count + 2, as: UInt32.self)
        count += 6
        pad()
    }

    /// `RTA_VIA`: a gateway of the other family than its route's, preceded by its family in 16 bits.
    mutating func via(_ gateway: IPAddress) {
        header(Int(RTA_VIA.rawValue), size: gateway.isIPv6 ? 18 : 6)
        reserve(24)
        storage.storeBytes(of: UInt16(gateway.family.number), toByteOffset: count, as: UInt16.self)
        switch gateway {
        case .v4(let address):
            storage.storeBytes(of: address.rawValue.bigEndian, toByteOffset: count + 2, as: UInt32.self)
            count += 6
        case .v6(let address):
            storage.storeBytes(of: address.rawValue.bigEndian, toByteOffset: count + 2, as: UInt128.self)
            count += 18
        }
        pad()
    }

    /// A string with its closing zero.
    mutating func attribute(_ type: Int, string: String) {
        var text = string
        text.withUTF8 { bytes in
            header(type, size: bytes.count + 1)
            append(bytes: UnsafeRawBufferPointer(bytes))
            reserve(1)
            storage[count] = 0
            count += 1
        }
        pad()
    }

    /// An attribute whose presence is its meaning.
    mutating func flag(_ type: Int) { header(type, size: 0) }

    /// An attribute as it is.
    mutating func attribute(_ attribute: Attribute) {
        header(Int(attribute.type), size: attribute.value.count)
        attribute.value.withUnsafeBytes { append(bytes: $0) }
        pad()
    }

    mutating func attributes(_ attributes: [Attribute]) {
        for attribute in attributes { self.attribute(attribute) }
    }

    /// An attribute that holds what `body` writes.
    mutating func nested(_ type: Int, _ body: (inout MessageWriter) -> Void) {
        let start = count
        header(type, size: 0)
        body(&self)
        closeLength(from: start)
    }

    /// A next hop of a multipath attribute, whose structure begins with a length like an attribute's.
    mutating func nextHop(_ structure: rtnexthop, _ body: (inout MessageWriter) -> Void) {
        let start = count
        append(structure)
        body(&self)
        closeLength(from: start)
    }

    // MARK: Bytes

    private mutating func closeLength(from start: Int) {
        let length = count - start
        if length > Int(UInt16.max) { overflowed = true }
        storage.storeBytes(of: UInt16(truncatingIfNeeded: length), toByteOffset: start, as: UInt16.self)
    }

    private mutating func header(_ type: Int, size: Int) {
        if size + 4 > Int(UInt16.max) { overflowed = true }
        reserve(4)
        storage.storeBytes(of: UInt16(truncatingIfNeeded: size + 4), toByteOffset: count, as: UInt16.self)
        storage.storeBytes(of: UInt16(truncatingIfNeeded: type), toByteOffset: count + 2, as: UInt16.self)
        count += 4
    }

    private mutating func append(bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        reserve(bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: storage[count..<count + bytes.count]).copyMemory(from: bytes)
        count += bytes.count
    }

    private mutating func pad() {
        while count & 3 != 0 {
            reserve(1)
            storage[count] = 0
            count += 1
        }
    }

    private mutating func reserve(_ size: Int) {
        guard storage.count - count < size else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(storage.count * 2, count + size), alignment: 8)
        UnsafeMutableRawBufferPointer(rebasing: larger[..<count])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[..<count]))
        storage.deallocate()
        storage = larger
    }
}
