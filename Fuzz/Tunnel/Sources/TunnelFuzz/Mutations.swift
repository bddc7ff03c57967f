import Glibc

/// Mutated datagrams and reads by the million: libFuzzer's search for new branches finds more with each input, and makes
/// far fewer of them.
struct Mutations {
    private let inputs: [[UInt8]]
    private var state: UInt64

    init(directory: String, seed: UInt64) {
        var inputs: [[UInt8]] = []
        if let listing = opendir(directory) {
            while let entry = readdir(listing) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                guard let file = fopen("\(directory)/\(name)", "r") else { continue }
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = fread(&bytes, 1, bytes.count, file)
                fclose(file)
                if count > 3 { inputs.append(Array(bytes[..<count])) }
            }
            closedir(listing)
        }
        self.inputs = inputs
        state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    }

    /// xorshift64*, so that a run can be repeated by its seed.
    private mutating func random(_ limit: Int) -> Int {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return Int((state &* 0x2545_f491_4f6c_dd1d) >> 33) % max(limit, 1)
    }

    private mutating func mutated(_ pool: [[UInt8]]) -> [UInt8] {
        var input = pool[random(pool.count)]
        for _ in 0...random(4) {
            let position = random(input.count)
            // Headers are where most is decided.
            let near = 1 + random(min(input.count - 1, 90))
            switch random(8) {
            case 0: input[position] = UInt8(random(256))
            case 1, 2: input[near] = UInt8(random(256))
            case 3, 4: input[near] ^= 1 << UInt8(random(8))
            case 5: input[near] = [0, 1, 0x7f, 0x80, 0xff][random(5)]
            case 6 where input.count > 24: input.removeLast(random(input.count - 12))
            case 7: input += pool[random(pool.count)].dropFirst(3)
            default: break
            }
            if input.count > 4096 { input.removeLast(input.count - 4096) }
        }
        return input
    }

    /// Runs at least `total` mutated datagrams and as many reads.
    mutating func run(_ total: Int) -> Bool {
        let received = inputs.filter { $0[0] & 1 == 0 }
        let sent = inputs.filter { $0[0] & 1 == 1 }
        guard !received.isEmpty, !sent.isEmpty else { return false }
        var datagrams = 0
        var reads = 0
        var next = total / 10
        while datagrams < total || reads < total {
            if datagrams < total {
                var input = mutated(received)
                // One in four from a stranger or without checks; any kind of device.
                input[0] = input[0] & 0x40 | UInt8(random(32)) & (random(4) == 0 ? 0x1e : 0x10)
                datagrams += TunnelFuzz.run(input)
            }
            if reads < total {
                fuzzSend((0..<6).map { _ in mutated(sent).dropFirst() }, UInt8(random(2)) << 5)
                reads += 6
            }
            if datagrams >= next || reads >= next, datagrams + reads >= 2 * next {
                print("\(datagrams) datagrams, \(reads) reads")
                fflush(nil)
                next += total / 10
            }
        }
        print("\(datagrams) datagrams, \(reads) reads: nothing lost, changed or made up")
        return true
    }
}
