import CLinux
import Glibc

/// Keeps a long-running process small.
public enum ProcessMemory {
    /// One malloc arena for all threads, and free memory at the heap's end goes back early. For a process that allocates
    /// little once it runs. To be called before the first thread is made.
    public static func useOneArena() {
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_TRIM_THRESHOLD, 64 << 10)
    }

    /// Gives back what only the start needed: free heap, and the mapped pages of the program's own code, which come back
    /// from the page cache when they are run again.
    public static func releaseAfterStart() {
        malloc_trim(0)
        for (start, length) in codeMappings() {
            // Code is never written to, so nothing is lost. MADV_DONTNEED on a file mapping drops the pages from the
            // process, not from the cache.
            madvise(UnsafeMutableRawPointer(bitPattern: start), length, MADV_DONTNEED)
        }
    }

    /// The executable, never writable mappings of the program's file.
    private static func codeMappings() -> [(start: UInt, length: Int)] {
        guard let program = try? link("/proc/self/exe"), let maps = try? TextFile.read("/proc/self/maps") else {
            return []
        }
        return maps.split(separator: "\n").compactMap { line in
            guard line.hasSuffix(program), line.contains(" r-xp ") else { return nil }
            let range = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard range.count == 2, range[1] > range[0] else { return nil }
            return (range[0], Int(range[1] - range[0]))
        }
    }

    private static func link(_ path: String) throws(SystemCallError) -> String {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try systemCall("readlink", path) {
            bytes.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return -1 }
                return readlink(path, base, buffer.count)
            }
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
